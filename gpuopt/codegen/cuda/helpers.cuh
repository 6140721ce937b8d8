// Of an address that is known to be of global memory the machine code loads in one step less.
template <typename T> __device__ __forceinline__ T from_global(const T* from) {
  __builtin_assume(__isGlobal(from));
  return *from;
}
// NaN propagates, and of two zeros the second is taken, as NumPy does on a CPU.
template <typename T> __device__ __forceinline__ T largest(T a, T b) { return a > b || a != a ? a : b; }
template <typename T> __device__ __forceinline__ T smallest(T a, T b) { return a < b || a != a ? a : b; }
template <typename T> __device__ __forceinline__ T signum(T a) {
  return a > T(0) ? T(1) : a < T(0) ? T(-1) : a == T(0) ? T(0) : a;
}
// CUDA's own gives -inf, not NaN, for a negative float64 of less than 2**-1042.
template <typename T> __device__ __forceinline__ T logarithm(T a) { return a < T(0) ? T(0.0 / 0.0) : T(log(a)); }
// The remainder has the sign of the divisor, and the quotient is rounded down, as in NumPy and Python.
template <typename T> __device__ __forceinline__ T remainder_of(T a, T b) {
  const T rest = T(fmod(a, b));
  return b == T(0) ? rest : rest == T(0) ? T(copysign(T(0), b)) : (b < T(0)) != (rest < T(0)) ? rest + b : rest;
}
template <typename T> __device__ __forceinline__ T floor_divide(T a, T b) {
  if (b == T(0)) return a / b;
  const T rest = T(fmod(a, b)), near = (a - rest) / b, below = rest != T(0) && (b < T(0)) != (rest < T(0)) ? near - T(1) : near;
  const T whole = T(floor(below));
  return below == T(0) ? T(copysign(T(0), a / b)) : below - whole > T(0.5) ? whole + T(1) : whole;
}
// 16 random bits are added to those that a bfloat16 has no room for, which are then cut; NaN stays.
template <typename T> __device__ __forceinline__ T stochastic_bfloat16(T a, T u) {
  return a != a ? a : __uint_as_float((__float_as_uint(a) + (unsigned int)(u * T(65536))) & 0xFFFF0000u);
}
// Complex numbers over the whole range of exponents: where the sum of the squares of a number's parts is small or large, the
// parts are scaled by a power of two, which changes no bit of an ordinary result.
template <typename T> __device__ __forceinline__ T extreme() {
  return T(sizeof(T) == 4 ? 1.2379400392853803e+27 : 8.452712498170644e+270);
}
template <typename T> __device__ __forceinline__ T scale(T square) {
  const T large = extreme<T>(), small = T(1) / large;
  return square < small ? large : square <= large ? T(1) : small;
}
template <typename T> __device__ __forceinline__ T modulus(T square, T a, T b) {
  const T infinity = T(1.0 / 0.0), by = scale(square), u = a * by, v = b * by;
  return fabs(a) == infinity || fabs(b) == infinity ? infinity : T(sqrt(u * u + v * v)) / by;
}
template <typename T> __device__ __forceinline__ T direction(T square, T a, T b) {
  const T infinity = T(1.0 / 0.0), by = scale(square), u = a * by, v = b * by;
  const T ordinary = a == T(0) && b == T(0) ? T(0) : u / T(sqrt(u * u + v * v));
  const bool first = fabs(a) == infinity, second = fabs(b) == infinity;
  return first && !second ? (a > T(0) ? T(1) : T(-1)) : second && !first ? T(0) : ordinary;
}
template <typename T> __device__ __forceinline__ T quotient(T square, T a, T b, T c, T d) {
  const T infinity = T(1.0 / 0.0), size = fabs(a * c + b * d), under = scale(square);
  const bool plain = under == T(1) && size >= T(1) / extreme<T>() && size <= extreme<T>();
  const T over = plain ? T(1) : scale(a * a + b * b);
  const T x = a * over, y = b * over, u = c * under, v = d * under;
  const T ratio = (x * u + y * v) / (u * u + v * v), ordinary = over == under ? ratio : ratio * under / over;
  const bool vanishes = (fabs(c) == infinity && fabs(d) < infinity) || (fabs(d) == infinity && fabs(c) < infinity);
  return c == T(0) && d == T(0) ? a / fabs(c) : vanishes ? a * T(0) + b * T(0) : ordinary;
}
// What powers of arrays are made of: the upper half of a number's digits, its exponent, and powers of 2 that are normal.
__device__ __forceinline__ float upper_digits(float a) { return __uint_as_float(__float_as_uint(a) & 0xFFFFF000u); }
__device__ __forceinline__ double upper_digits(double a) {
  return __longlong_as_double((long long)((unsigned long long)__double_as_longlong(a) & 0xFFFFFFFFF8000000ull));
}
__device__ __forceinline__ float exponent_of(float a) {
  return __uint_as_float(__float_as_uint(a) >> 23 | 0x4B000000u) - 8388735.0f;
}
__device__ __forceinline__ double exponent_of(double a) {
  const unsigned long long bits = (unsigned long long)__double_as_longlong(a) >> 52 | 0x4330000000000000ull;
  return __longlong_as_double((long long)bits) - 4503599627371519.0;
}
__device__ __forceinline__ float two_to(float a) {
  return __uint_as_float(__float_as_uint((a > -126.0f ? a < 127.0f ? a : 127.0f : -126.0f) + 8388735.0f) << 23);
}
__device__ __forceinline__ double two_to(double a) {
  const double near = (a > -1022.0 ? a < 1023.0 ? a : 1023.0 : -1022.0) + 4503599627371519.0;
  return __longlong_as_double((long long)((unsigned long long)__double_as_longlong(near) << 52));
}
// The cube root: a third of the bits begins with those of the root, and is right to 4 %. One step of Halley's and one of
// Newton's, for float64 another one, leave an error of less than 0.74 units in the last place.
template <typename T> __device__ __forceinline__ T first_root(T a) {
  if (sizeof(T) == 4) return T(__uint_as_float((__float_as_uint(a) & 0x7FFFFFFFu) / 3u + 709958130u));
  const unsigned long long bits = (unsigned long long)__double_as_longlong(a) & 0x7FFFFFFFFFFFFFFFull;
  return T(__longlong_as_double((long long)(bits / 3ull + (715094163ull << 32))));
}
template <typename T> __device__ __forceinline__ T cube_root(T x) {
  const bool wide = sizeof(T) == 8, small = fabs(x) < T(wide ? 2.2250738585072014e-308 : 1.1754943508222875e-38);
  const T a = small ? x * T(wide ? 18014398509481984.0 : 16777216.0) : x, size = first_root(a);
  T y = a < T(0) ? -size : size;
  y = y * (T(2) - T(3) / (T(2) + a / (y * y) / y));
  y = y + (a / (y * y) - y) * T(1.0 / 3.0);
  if (wide) y = y + (a / (y * y) - y) * T(1.0 / 3.0);
  return x + x == x ? x : small ? y * T(wide ? 3.814697265625e-06 : 0.00390625) : y;
}

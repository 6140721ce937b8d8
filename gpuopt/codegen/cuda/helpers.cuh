// NaN propagates, and of two zeros the second is taken, as NumPy does on a CPU.
template <typename T> __device__ __forceinline__ T largest(T a, T b) { return a > b || a != a ? a : b; }
template <typename T> __device__ __forceinline__ T smallest(T a, T b) { return a < b || a != a ? a : b; }
template <typename T> __device__ __forceinline__ T signum(T a) {
  return a > T(0) ? T(1) : a < T(0) ? T(-1) : a == T(0) ? T(0) : a;
}
// 16 random bits are added to those that a bfloat16 has no room for, which are then cut; NaN stays.
template <typename T> __device__ __forceinline__ T stochastic_bfloat16(T a, T u) {
  return a != a ? a : __uint_as_float((__float_as_uint(a) + (unsigned int)(u * T(65536))) & 0xFFFF0000u);
}

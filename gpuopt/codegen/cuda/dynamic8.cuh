// State in 8 bits, as gpuopt.arrays.dynamic8 has it: the first 12 bits of a float32 are its prefix, and a block of 256
// numbers tells the largest prefix, whether it has both signs (0x8000), and whether infinities or NaN (0x4000).
template <typename T> __device__ __forceinline__ T stochastic_dynamic8(T a, T u) {
  return a != a ? a : __uint_as_float((__float_as_uint(a) + ((unsigned)(u * T(65536)) << 4)) & 0xFFF00000u);
}
__device__ __forceinline__ float decoded(unsigned char code, unsigned top) {
  const int sign = top >> 15, last = sign ? 126 : 254, step = sign ? code & 127 : code;
  const int prefix = step < last ? (int)(top & 0x7FFu) - last + 1 + step : step == last ? 0x7F8 : 0x7FC;
  return step ? __uint_as_float((unsigned)prefix << 20 | (unsigned)(code - step) << 24) : 0.0f;
}
__device__ __forceinline__ unsigned prefix_of(float x) {
  const unsigned prefix = __float_as_uint(x) >> 20, size = prefix & 0x7FFu;
  return size > 0x7F8u ? 0x7FCu : size ? prefix : 0u;
}
__device__ __forceinline__ unsigned told_by(unsigned prefix) {
  const unsigned size = prefix & 0x7FFu;
  return (size < 0x7F8u ? size : 0x4000u) | (prefix & 0x800u) << 4;
}
__device__ __forceinline__ unsigned joined(unsigned a, unsigned b) {
  const unsigned one = a & 0x7FFu, other = b & 0x7FFu;
  return (one > other ? one : other) | ((a | b) & 0xC000u);
}
// A warp has a block, and each thread of it 8 numbers.
__device__ __forceinline__ unsigned told_by_warp(unsigned top) {
  #pragma unroll
  for (int by = 16; by; by /= 2) top = joined(top, __shfl_xor_sync(0xFFFFFFFFu, top, by));
  return top;
}
__device__ __forceinline__ unsigned char encoded(unsigned prefix, unsigned top) {
  const int sign = top >> 15, last = sign ? 126 : 254, size = prefix & 0x7FFu;
  const int below = size - (int)(top & 0x7FFu) + last - 1, lowest = 1 - sign;
  const int step = size == 0 ? 0 : size == 0x7F8 ? last : size > 0x7F8 ? last + 1 : below > lowest ? below : lowest;
  return (unsigned char)(step ? step + ((prefix & 0x800u) >> 4) : 0);
}

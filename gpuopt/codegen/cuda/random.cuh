// SplitMix64, begun anew for each seed, step, array and sequence, at any element.
__device__ __forceinline__ unsigned long long mixed(unsigned long long z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}
template <typename T>
__device__ __forceinline__ T uniform(unsigned long long a, unsigned long long b, unsigned long long c, unsigned long long d,
                                     int array, int sequence, int before, unsigned long long index) {
  const unsigned long long golden = 0x9E3779B97F4A7C15ull;
  unsigned long long start = mixed((a | b << 16 | c << 32 | d << 48) + golden);
  start = mixed(start + (array + 1ull) * golden);
  start = mixed(start + (sequence + 1ull) * golden);
  const unsigned long long z = mixed(start + (index + 1) * golden) << before;
  return sizeof(T) == 4 ? T((unsigned)(z >> 41)) * T(1.1920928955078125e-7) + T(5.9604644775390625e-8)
                        : T(z >> 12) * T(2.220446049250313e-16) + T(1.1102230246251565e-16);
}

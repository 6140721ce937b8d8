// `N` elements that follow one another, moved at most `B` bytes at a time; 0 for one real number at a time.
template <int N, int B> struct Width { static const int count = N, bytes = B; };
template <int B, bool LONG> struct Bytes {};
template <bool LONG> struct Bytes<1, LONG> { typedef unsigned char type; };
template <bool LONG> struct Bytes<2, LONG> { typedef unsigned short type; };
template <bool LONG> struct Bytes<4, LONG> { typedef unsigned type; };
template <bool LONG> struct Bytes<8, LONG> { typedef unsigned long long type; };
template <> struct Bytes<16, false> { typedef uint4 type; };
template <> struct Bytes<16, true> { typedef double2 type; };
// Stores that the compiler does not take apart; on a CPU, ordinary ones.
template <typename P> __device__ __forceinline__ void put(P* to, P x) { *to = x; }
#ifdef __CUDA_ARCH__
__device__ __forceinline__ void put(uint4* to, uint4 x) {
  asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(x.x), "r"(x.y), "r"(x.z), "r"(x.w) : "memory");
}
__device__ __forceinline__ void put(double2* to, double2 x) {
  asm volatile("st.global.v2.f64 [%0], {%1, %2};" ::"l"(to), "d"(x.x), "d"(x.y) : "memory");
}
#endif
template <typename T> struct Real { typedef T type; };
template <typename T> struct Real<complex<T>> { typedef T type; };
template <typename T, int N, int B> struct Several {
  static const int all = sizeof(T) * N, unit = sizeof(typename Real<T>::type);
  static const int bytes = B == 0 ? unit : all < B ? all : B, times = all / bytes;
  typedef typename Bytes<bytes, (unit > 4)>::type Part;
  T item[N];
  __device__ __forceinline__ void load(const T* from) {
    __builtin_assume(__isGlobal(from));
    __builtin_assume((size_t)from % bytes == 0);
    Part parts[times];
    #pragma unroll
    for (int k = 0; k < times; ++k) parts[k] = ((const Part*)from)[k];
    memcpy(item, parts, sizeof item);
  }
  __device__ __forceinline__ void store(T* to) {
    __builtin_assume(__isGlobal(to));
    __builtin_assume((size_t)to % bytes == 0);
    Part parts[times];
    memcpy(parts, item, sizeof item);
    #pragma unroll
    for (int k = 0; k < times; ++k) put((Part*)to + k, parts[k]);
  }
};

// CUDA C++ for g++: what the text of a CuPy elementwise kernel needs in order to run on the CPU, thread after thread.
// Force-included before the text. Besides what <math.h> brings, only operations that IEEE 754 defines exactly are here:
// an approximate one (rsqrt, __expf) is left out on purpose, so that a kernel using it fails to compile.
#pragma once
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
#define __align__(n) alignas(n)
#define __launch_bounds__(...)
#define __builtin_assume(condition) ((condition) ? (void)0 : throw #condition)  // the compiler believes it, so it must hold
#define __isGlobal(pointer) 1
#define __CUDACC_VER_MAJOR__ 13  // CuPy's float16.cuh then takes __half from cuda_fp16.h: the one beside this file

struct ThreadPosition { unsigned x, y, z; };
static ThreadPosition threadIdx{0, 0, 0}, blockIdx{0, 0, 0}, blockDim{1, 1, 1}, gridDim{1, 1, 1};

// ---- Threads run one after another, so what another has written is there, and nothing comes between
inline void __threadfence() {}

// ---- Bits
template <class To, class From> inline To shim_bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "same size");
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}
inline int __float_as_int(float x) { return shim_bits<int>(x); }
inline unsigned __float_as_uint(float x) { return shim_bits<unsigned>(x); }
inline float __int_as_float(int x) { return shim_bits<float>(x); }
inline float __uint_as_float(unsigned x) { return shim_bits<float>(x); }
inline long long __double_as_longlong(double x) { return shim_bits<long long>(x); }
inline double __longlong_as_double(long long x) { return shim_bits<double>(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }

// ---- min and max as in CUDA: a NaN loses against a number, and -0 is less than +0 (C leaves it open)
template <class T> inline T shim_min(T a, T b) {
  if (a != a) return b;
  if (b != b) return a;
  return a < b || (a == b && signbit(a)) ? a : b;
}
template <class T> inline T shim_max(T a, T b) {
  if (a != a) return b;
  if (b != b) return a;
  return a > b || (a == b && !signbit(a)) ? a : b;
}
#define SHIM_FLOAT_PAIR(name, function)                                         \
  inline float name(float a, float b) { return function<float>(a, b); }         \
  inline double name(double a, double b) { return function<double>(a, b); }     \
  inline double name(float a, double b) { return function<double>(a, b); }      \
  inline double name(double a, float b) { return function<double>(a, b); }
SHIM_FLOAT_PAIR(min, shim_min)
SHIM_FLOAT_PAIR(max, shim_max)
SHIM_FLOAT_PAIR(shim_fmin, shim_min)
SHIM_FLOAT_PAIR(shim_fmax, shim_max)
inline float shim_fminf(float a, float b) { return shim_min(a, b); }
inline float shim_fmaxf(float a, float b) { return shim_max(a, b); }
#define fmin shim_fmin
#define fmax shim_fmax
#define fminf shim_fminf
#define fmaxf shim_fmaxf
#define SHIM_INTEGER_PAIR(T)                          \
  inline T min(T a, T b) { return a < b ? a : b; }    \
  inline T max(T a, T b) { return a > b ? a : b; }
SHIM_INTEGER_PAIR(int) SHIM_INTEGER_PAIR(unsigned) SHIM_INTEGER_PAIR(long) SHIM_INTEGER_PAIR(unsigned long)
SHIM_INTEGER_PAIR(long long) SHIM_INTEGER_PAIR(unsigned long long)

// ---- Arithmetic that names its rounding, nearest even
#define SHIM_ROUNDED(prefix, T, root, fused)                                  \
  inline T prefix##add_rn(T a, T b) { return a + b; }                         \
  inline T prefix##sub_rn(T a, T b) { return a - b; }                         \
  inline T prefix##mul_rn(T a, T b) { return a * b; }                         \
  inline T prefix##div_rn(T a, T b) { return a / b; }                         \
  inline T prefix##rcp_rn(T a) { return T(1) / a; }                           \
  inline T prefix##sqrt_rn(T a) { return root(a); }                           \
  inline T fused##_rn(T a, T b, T c) { return fma(a, b, c); }
SHIM_ROUNDED(__f, float, sqrtf, __fmaf)
SHIM_ROUNDED(__d, double, sqrt, __fma)

// ---- Memory: no other thread runs, so that reading it atomically or through another cache is plain reading
template <class T> inline T __ldg(const T* address) { return *address; }
template <class T> inline T atomicCAS(T* address, T expected, T desired) {
  T old = *address;
  if (old == expected) *address = desired;
  return old;
}
#define SHIM_ATOMIC_ADD(T)                             \
  inline T atomicAdd(T* address, T value) {            \
    T old = *address;                                  \
    *address = old + value;                            \
    return old;                                        \
  }
SHIM_ATOMIC_ADD(int) SHIM_ATOMIC_ADD(unsigned) SHIM_ATOMIC_ADD(unsigned long long) SHIM_ATOMIC_ADD(float)
SHIM_ATOMIC_ADD(double)

// ---- Vectors for wide loads
#define SHIM_VECTOR(T, name)                                                                            \
  struct alignas(2 * sizeof(T)) name##2 { T x, y; };                                                    \
  struct alignas(sizeof(T) > 4 ? 16 : 4 * sizeof(T)) name##4 { T x, y, z, w; };                         \
  inline name##2 make_##name##2(T x, T y) { return {x, y}; }                                            \
  inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
SHIM_VECTOR(float, float) SHIM_VECTOR(double, double) SHIM_VECTOR(int, int) SHIM_VECTOR(unsigned, uint)
SHIM_VECTOR(unsigned short, ushort)

// ---- The launch: every thread of every block in turn. Arguments come as cuLaunchKernel takes them, by address.
template <class... A, std::size_t... I>
inline void shim_call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
  kernel(*static_cast<A*>(arguments[I])...);
}
template <class... A> inline void shim_launch(void (*kernel)(A...), void** arguments, unsigned grid, unsigned block) {
  gridDim.x = grid;
  blockDim.x = block;
  for (blockIdx.x = 0; blockIdx.x < grid; ++blockIdx.x)
    for (threadIdx.x = 0; threadIdx.x < block; ++threadIdx.x)
      shim_call(kernel, arguments, std::index_sequence_for<A...>{});
}
#define SHIM_LAUNCHER(kernel)                                                              \
  extern "C" const char* shim_entry(void** arguments, unsigned grid, unsigned block) {     \
    try {                                                                                  \
      shim_launch(kernel, arguments, grid, block);                                         \
    } catch (const char* assumption) {                                                     \
      return assumption;                                                                   \
    }                                                                                      \
    return nullptr;                                                                        \
  }

// CUDA C++ for g++: what the text of a CuPy kernel needs in order to run on the CPU. `emulated_gpu/threads.cpp` runs its threads.
// Force-included before the text. Besides what <math.h> brings, only operations that IEEE 754 defines exactly are here:
// an approximate one (rsqrt, __expf) is left out on purpose, so that a kernel using it fails to compile.
#pragma once
#include <bits/c++config.h>
#undef _GLIBCXX_USE_STD_SPEC_FUNCS  // a third of the compiled header, and no kernel needs Bessel functions
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <tuple>
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
// The compiler believes it, so it must hold.
#define __builtin_assume(condition) ((condition) ? (void)0 : emulated_fail("assumes what does not hold: " #condition))
#define __isGlobal(pointer) (emulated_is_global(reinterpret_cast<const void*>(pointer)))
#define __shared__ static __thread
#define __syncwarp(...) emulated_wait(2)
#define __CUDACC_VER_MAJOR__ 13  // CuPy's float16.cuh then takes __half from cuda_fp16.h: the one beside this file

// ---- What `emulated_gpu` has: where a thread is, how it waits for others, and what it may do to memory
struct ThreadPosition { unsigned x, y, z; };
extern __thread ThreadPosition threadIdx, blockIdx, blockDim, gridDim;
extern __thread void* emulated_dynamic_shared;
const int warpSize = 32;
extern "C" {
[[noreturn]] void emulated_fail(const char* why);
void emulated_wait(int kind);  // 0: others may run now, 1: for the block, 2: for the warp
bool emulated_is_global(const void*);
void emulated_access(const void*, unsigned long size, int write, int atomic);
unsigned long long emulated_exchange(unsigned long long value, int from);  // of a lane of the warp
const char* emulated_launch(void (*call)(const void*), const void* arguments, const unsigned* grid, const unsigned* block,
                            unsigned shared, int kinds);
long long clock64();
}
inline void __syncthreads() { emulated_wait(1); }
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); emulated_wait(0); }
inline void __threadfence_block() { __threadfence(); }
inline void __threadfence_system() { __threadfence(); }

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

// ---- Memory
template <class T> inline T __ldg(const T* address) { return *address; }
template <class T> inline T atomicCAS(T* address, T expected, T desired) {
  emulated_wait(0);
  emulated_access(address, sizeof(T), 1, 1);
  __atomic_compare_exchange(address, &expected, &desired, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}
template <class T, class F> inline T emulated_atomic(T* address, F next) {
  emulated_wait(0);
  emulated_access(address, sizeof(T), 1, 1);
  T old, desired;
  __atomic_load(address, &old, __ATOMIC_RELAXED);
  do desired = next(old); while (!__atomic_compare_exchange(address, &old, &desired, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return old;
}
#define EMULATED_ATOMICS(T)                                                                                             \
  inline T atomicAdd(T* address, T value) { return emulated_atomic(address, [=](T old) { return (T)(old + value); }); }   \
  inline T atomicExch(T* address, T value) { return emulated_atomic(address, [=](T) { return value; }); }
EMULATED_ATOMICS(int) EMULATED_ATOMICS(unsigned) EMULATED_ATOMICS(unsigned long long) EMULATED_ATOMICS(float)
EMULATED_ATOMICS(double)
#define EMULATED_LATTICE(T)                                                                                             \
  inline T atomicMax(T* address, T value) { return emulated_atomic(address, [=](T old) { return old < value ? value : old; }); } \
  inline T atomicMin(T* address, T value) { return emulated_atomic(address, [=](T old) { return value < old ? value : old; }); } \
  inline T atomicOr(T* address, T value) { return emulated_atomic(address, [=](T old) { return (T)(old | value); }); }    \
  inline T atomicAnd(T* address, T value) { return emulated_atomic(address, [=](T old) { return (T)(old & value); }); }
EMULATED_LATTICE(int) EMULATED_LATTICE(unsigned) EMULATED_LATTICE(unsigned long long)

// ---- Warps
template <class T> inline T emulated_from(T value, int lane) {
  unsigned long long bits = 0;
  memcpy(&bits, &value, sizeof value);
  bits = emulated_exchange(bits, lane);
  memcpy(&value, &bits, sizeof value);
  return value;
}
template <class T> inline T __shfl_sync(unsigned, T v, int lane, int = 32) { return emulated_from(v, lane & 31); }
template <class T> inline T __shfl_xor_sync(unsigned, T v, int mask, int = 32) {
  return emulated_from(v, (threadIdx.x & 31) ^ mask);
}
template <class T> inline T __shfl_down_sync(unsigned, T v, unsigned delta, int = 32) {
  unsigned lane = threadIdx.x & 31;
  return emulated_from(v, lane + delta < 32 ? lane + delta : lane);
}
template <class T> inline T __shfl_up_sync(unsigned, T v, unsigned delta, int = 32) {
  unsigned lane = threadIdx.x & 31;
  return emulated_from(v, lane >= delta ? lane - delta : lane);
}

// ---- Vectors for wide loads
#define SHIM_VECTOR(T, name)                                                                            \
  struct alignas(2 * sizeof(T)) name##2 { T x, y; };                                                    \
  struct alignas(sizeof(T) > 4 ? 16 : 4 * sizeof(T)) name##4 { T x, y, z, w; };                         \
  inline name##2 make_##name##2(T x, T y) { return {x, y}; }                                            \
  inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
SHIM_VECTOR(float, float) SHIM_VECTOR(double, double) SHIM_VECTOR(int, int) SHIM_VECTOR(unsigned, uint)
SHIM_VECTOR(unsigned short, ushort)

// ---- The launch. Arguments come as cuLaunchKernel takes them, by address; they are copied, for a launch may run later.
template <class... A> struct Emulated {
  typedef std::tuple<std::decay_t<A>...> Packed;
  template <std::size_t... I> static Packed* pack(void** from, std::index_sequence<I...>) {
    return new Packed(*static_cast<std::decay_t<A>*>(from[I])...);
  }
  static Packed* pack(void (*)(A...), void** from) { return pack(from, std::index_sequence_for<A...>{}); }
};
template <auto kernel, class... A> void emulated_call(void (*)(A...), const void* packed) {
  std::apply(kernel, *static_cast<const std::tuple<std::decay_t<A>...>*>(packed));
}
template <class... A> auto emulated_pack(void (*kernel)(A...), void** from) { return Emulated<A...>::pack(kernel, from); }
template <class... A> void emulated_drop(void (*)(A...), void* packed) { delete static_cast<typename Emulated<A...>::Packed*>(packed); }
#define EMULATED_ENTRY(kernel, kinds)                                                                             \
  extern "C" void* emulated_pack_##kernel(void** from) { return emulated_pack(kernel, from); }                    \
  extern "C" void emulated_drop_##kernel(void* packed) { emulated_drop(kernel, packed); }                         \
  extern "C" const char* emulated_run_##kernel(const void* packed, const unsigned* grid, const unsigned* block, unsigned shared) { \
    return emulated_launch([](const void* p) { emulated_call<kernel>(kernel, p); }, packed, grid, block, shared, kinds);          \
  }

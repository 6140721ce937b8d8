// Stands in for NVIDIA's cuda_bf16.h: the part that cupy/bfloat16.cuh uses.
#pragma once
#include "narrow.hpp"

struct __nv_bfloat16 {
  unsigned short bits;
  __nv_bfloat16() = default;
  __nv_bfloat16(float x) : bits(narrow_encode<7, 8>(x)) {}
  operator float() const { return static_cast<float>(narrow_decode<7, 8>(bits)); }
};

inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 x) { return x.bits; }
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits) { return shim_bits<__nv_bfloat16>(bits); }
inline bool __hisnan(__nv_bfloat16 x) { return isnan(static_cast<float>(x)); }
inline int __hisinf(__nv_bfloat16 x) { return isinf(static_cast<float>(x)) ? 1 : 0; }
inline __nv_bfloat16 __float2bfloat16_rn(float x) { return x; }
inline float __bfloat162float(__nv_bfloat16 x) { return x; }

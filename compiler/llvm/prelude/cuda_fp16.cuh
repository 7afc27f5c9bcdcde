#ifndef FMS_CPU_CUDA_FP16_CUH_
#define FMS_CPU_CUDA_FP16_CUH_

// What a kernel has from #include <cuda_fp16.h>: IEEE binary16, alone and in pairs.

#pragma clang system_header

#include "fms/cpu/float16.cuh"

#define __CUDA_FP16_TYPES_EXIST__

struct __align__(2) __half_raw {
  unsigned short x;
};
struct __align__(4) __half2_raw {
  unsigned short x, y;
};

#ifdef __F16C__
FMS_CPU_FN unsigned short fms_cpu_half_bits(float x) {
  return __builtin_bit_cast(unsigned short, static_cast<_Float16>(x));
}
FMS_CPU_FN float fms_cpu_half_value(unsigned short bits) {
  return static_cast<float>(__builtin_bit_cast(_Float16, bits));
}
#else
// Without the instructions clang would call a function of its own library for each value. These
// are as exact, and a loop over threads takes several at a time.
FMS_CPU_FN unsigned short fms_cpu_half_bits(float x) {
  const unsigned bits = __float_as_uint(x);
  const unsigned magnitude = bits & 0x7fff'ffff;
  // To the nearest multiple of 2^13, or the even one, with the exponent's bias changed.
  const unsigned normal = (magnitude - (112u << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13;
  // The smallest half is the last bit of a float from 1/2 to 1, so that an addition rounds.
  const unsigned subnormal =
      __float_as_uint(__uint_as_float(magnitude) + 0.5f) - __float_as_uint(0.5f);
  unsigned half = magnitude < 0x3880'0000 ? subnormal : normal;
  half = magnitude >= 0x477f'f000 ? 0x7c00 : half;
  half = magnitude > 0x7f80'0000 ? 0x7fff : half;
  return static_cast<unsigned short>(half | (bits >> 16 & 0x8000));
}
FMS_CPU_FN float fms_cpu_half_value(unsigned short half) {
  const unsigned magnitude = half & 0x7fffu;
  const float finite = __uint_as_float(magnitude << 13) * 0x1p112f;
  const unsigned bits =
      magnitude >= 0x7c00 ? magnitude << 13 | 0x7f80'0000 : __float_as_uint(finite);
  return __uint_as_float(bits | (half & 0x8000u) << 16);
}
#endif

#define FMS_CPU_T __half
#define FMS_CPU_T2 __half2
#define FMS_CPU_RAW __half_raw
#define FMS_CPU_RAW2 __half2_raw
#define FMS_CPU_ENCODE fms_cpu_half_bits
#define FMS_CPU_DECODE fms_cpu_half_value
#define FMS_CPU_NAME(before, after) before##half##after
#define FMS_CPU_NAME2(before, after) before##half2##after
#define FMS_CPU_SPREAD __half2half2
#include "fms/cpu/float16_types.cuh"
//
#include "fms/cpu/float16_conversions.cuh"
#include "fms/cpu/float16_functions.cuh"
#undef FMS_CPU_SPREAD
#undef FMS_CPU_NAME2
#undef FMS_CPU_NAME
#undef FMS_CPU_DECODE
#undef FMS_CPU_ENCODE
#undef FMS_CPU_RAW2
#undef FMS_CPU_RAW
#undef FMS_CPU_T2
#undef FMS_CPU_T

#ifndef CUDA_NO_HALF
using half = __half;
using half2 = __half2;
using nv_half = __half;
using nv_half2 = __half2;
#endif

#define CUDART_INF_FP16 __ushort_as_half(0x7c00)
#define CUDART_NAN_FP16 __ushort_as_half(0x7fff)
#define CUDART_MIN_DENORM_FP16 __ushort_as_half(0x0001)
#define CUDART_MAX_NORMAL_FP16 __ushort_as_half(0x7bff)
#define CUDART_NEG_ZERO_FP16 __ushort_as_half(0x8000)
#define CUDART_ZERO_FP16 __ushort_as_half(0x0000)
#define CUDART_ONE_FP16 __ushort_as_half(0x3c00)

#endif  // FMS_CPU_CUDA_FP16_CUH_

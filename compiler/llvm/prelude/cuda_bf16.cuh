#ifndef FMS_CPU_CUDA_BF16_CUH_
#define FMS_CPU_CUDA_BF16_CUH_

// What a kernel has from #include <cuda_bf16.h>: the upper half of a float, alone and in pairs.

#pragma clang system_header

#include "fms/cpu/float16.cuh"

#define __CUDA_BF16_TYPES_EXIST__

struct __align__(2) __nv_bfloat16_raw {
  unsigned short x;
};
struct __align__(4) __nv_bfloat162_raw {
  unsigned short x, y;
};

// In integers: the instruction for it takes subnormal numbers for 0, and clang's type has no
// other. All NaNs become one.
FMS_CPU_FN unsigned short fms_cpu_bfloat16_bits(float x) {
  const unsigned bits = __float_as_uint(x);
  const unsigned rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  return static_cast<unsigned short>(x != x ? 0x7fff : rounded);
}
FMS_CPU_FN float fms_cpu_bfloat16_value(unsigned short bits) {
  return __uint_as_float(static_cast<unsigned>(bits) << 16);
}

#define FMS_CPU_T __nv_bfloat16
#define FMS_CPU_T2 __nv_bfloat162
#define FMS_CPU_RAW __nv_bfloat16_raw
#define FMS_CPU_RAW2 __nv_bfloat162_raw
#define FMS_CPU_ENCODE fms_cpu_bfloat16_bits
#define FMS_CPU_DECODE fms_cpu_bfloat16_value
#define FMS_CPU_NAME(before, after) before##bfloat16##after
#define FMS_CPU_NAME2(before, after) before##bfloat162##after
#define FMS_CPU_SPREAD __bfloat162bfloat162
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

using nv_bfloat16 = __nv_bfloat16;
using nv_bfloat162 = __nv_bfloat162;

#define CUDART_INF_BF16 __ushort_as_bfloat16(0x7f80)
#define CUDART_NAN_BF16 __ushort_as_bfloat16(0x7fff)
#define CUDART_MIN_DENORM_BF16 __ushort_as_bfloat16(0x0001)
#define CUDART_MAX_NORMAL_BF16 __ushort_as_bfloat16(0x7f7f)
#define CUDART_NEG_ZERO_BF16 __ushort_as_bfloat16(0x8000)
#define CUDART_ZERO_BF16 __ushort_as_bfloat16(0x0000)
#define CUDART_ONE_BF16 __ushort_as_bfloat16(0x3f80)

#endif  // FMS_CPU_CUDA_BF16_CUH_

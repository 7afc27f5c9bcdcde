#ifndef FMS_PTX_PACK_CUH_
#define FMS_PTX_PACK_CUH_

// cvt.rn.*x2: two floats, rounded to nearest, as one register of two 16-bit elements.

#include "fms/parameter.cuh"  // outside of a rendered kernel: includes the headers of the types

namespace fms {

// The type is an argument only to choose by.
#if defined(__CUDA_FP16_TYPES_EXIST__)
__device__ inline unsigned pack_pair(float low, float high, __half) {
  unsigned packed;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}
#endif

#if defined(__CUDA_BF16_TYPES_EXIST__)
__device__ inline unsigned pack_pair(float low, float high, __nv_bfloat16) {
  unsigned packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}
#endif

template <typename T>
__device__ inline unsigned pack(float low, float high) {
  return pack_pair(low, high, T());
}

}  // namespace fms

#endif  // FMS_PTX_PACK_CUH_

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

// And back.
#if defined(__CUDA_FP16_TYPES_EXIST__)
__device__ inline void unpack_pair(unsigned packed, float& low, float& high, __half) {
  asm("{\n.reg .b16 l, h;\nmov.b32 {l, h}, %2;\ncvt.f32.f16 %0, l;\ncvt.f32.f16 %1, h;\n}"
      : "=f"(low), "=f"(high)
      : "r"(packed));
}
#endif

#if defined(__CUDA_BF16_TYPES_EXIST__)
__device__ inline void unpack_pair(unsigned packed, float& low, float& high, __nv_bfloat16) {
  low = __uint_as_float(packed << 16);
  high = __uint_as_float(packed & 0xffff0000u);
}
#endif

template <typename T>
__device__ inline void unpack(unsigned packed, float& low, float& high) {
  unpack_pair(packed, low, high, T());
}

template <typename T>
__device__ inline unsigned pack(float low, float high) {
  return pack_pair(low, high, T());
}

}  // namespace fms

#endif  // FMS_PTX_PACK_CUH_

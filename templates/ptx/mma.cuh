#ifndef FMS_PTX_MMA_CUH_
#define FMS_PTX_MMA_CUH_

// mma.sync.m16n8k16 (sm_80 and later): d = a b + c on the tensor cores, by a warp, of 16-bit
// elements and in float. Lane l has of c and d (16 x 8) the pairs at columns 2 (l % 4) of rows
// l / 4 and 8 + l / 4; of a (16 x 16) those at the same rows and columns, then those 8 columns on;
// of b (16 x 8) the pairs at rows 2 (l % 4), and 8 on, of column l / 4. The order of the sum over
// 16 and its rounding are the hardware's, the same in every run.

#include "fms/parameter.cuh"  // outside of a rendered kernel: includes the headers of the types

namespace fms {

// The type is an argument only to choose by.
#if defined(__CUDA_FP16_TYPES_EXIST__)
__device__ inline void multiply_add(float* d, const unsigned* a, unsigned b0, unsigned b1, float c0,
                                    float c1, float c2, float c3, __half) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%10, %11, %12, %13};"
      : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(c0), "f"(c1), "f"(c2),
        "f"(c3));
}
#endif

#if defined(__CUDA_BF16_TYPES_EXIST__)
__device__ inline void multiply_add(float* d, const unsigned* a, unsigned b0, unsigned b1, float c0,
                                    float c1, float c2, float c3, __nv_bfloat16) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%10, %11, %12, %13};"
      : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(c0), "f"(c1), "f"(c2),
        "f"(c3));
}
#endif

// d += a b, or, unless kAdd, d = a b: no register has to be cleared for that.
template <typename T, bool kAdd = true>
__device__ inline void multiply_add(float* d, const unsigned* a, unsigned b0, unsigned b1) {
  if constexpr (kAdd) {
    multiply_add(d, a, b0, b1, d[0], d[1], d[2], d[3], T());
  } else {
    multiply_add(d, a, b0, b1, 0.0f, 0.0f, 0.0f, 0.0f, T());
  }
}

}  // namespace fms

#endif  // FMS_PTX_MMA_CUH_

#ifndef FMS_TILE_ELEMENT_CUH_
#define FMS_TILE_ELEMENT_CUH_

// Elements in memory, floats in registers: the conversions between float and what an array holds.
// Specialised for float here, and for the 16-bit types if the toolkit's header for them is
// included, which a rendered kernel does in its first lines.

#include "fms/parameter.cuh"  // anywhere else: includes those headers

namespace fms {

template <typename T>
struct Element;

template <>
struct Element<float> {
  static __device__ float load(float x) { return x; }
  static __device__ float store(float x) { return x; }
};

#if defined(__CUDA_FP16_TYPES_EXIST__)
template <>
struct Element<__half> {
  static __device__ float load(__half x) { return __half2float(x); }
  static __device__ __half store(float x) { return __float2half_rn(x); }
};
#endif

#if defined(__CUDA_BF16_TYPES_EXIST__)
template <>
struct Element<__nv_bfloat16> {
  static __device__ float load(__nv_bfloat16 x) { return __bfloat162float(x); }
  static __device__ __nv_bfloat16 store(float x) { return __float2bfloat16_rn(x); }
};
#endif

// kCount consecutive elements that are aligned to their size, at most 16 bytes: they move with one
// instruction.
template <typename T, int kCount>
struct alignas(kCount * sizeof(T)) Pack {
  static_assert(kCount * sizeof(T) <= 16, "one instruction moves at most 16 bytes");
  T element[kCount];
};

// As many as 16 bytes hold.
template <typename T>
constexpr int kPackElements = 16 / int(sizeof(T));

}  // namespace fms

#endif  // FMS_TILE_ELEMENT_CUH_

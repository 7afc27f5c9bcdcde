#ifndef FMS_TILE_LANES_CUH_
#define FMS_TILE_LANES_CUH_

// Reductions over kLanes neighbouring threads of a warp. Every one of them gets the result, and the
// same bits of it: each step combines the same two values on both sides.

namespace fms {

template <int kLanes>
__device__ inline float lanes_max(float x) {
  static_assert(kLanes > 0 && kLanes <= 32 && (kLanes & (kLanes - 1)) == 0,
                "a butterfly pairs a power of two of lanes inside one warp");
#pragma unroll
  for (int step = kLanes / 2; step > 0; step /= 2) {
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, step));
  }
  return x;
}

template <int kLanes>
__device__ inline float lanes_sum(float x) {
  static_assert(kLanes > 0 && kLanes <= 32 && (kLanes & (kLanes - 1)) == 0,
                "a butterfly pairs a power of two of lanes inside one warp");
#pragma unroll
  for (int step = kLanes / 2; step > 0; step /= 2) {
    x = __fadd_rn(x, __shfl_xor_sync(0xffffffffu, x, step));
  }
  return x;
}

}  // namespace fms

#endif  // FMS_TILE_LANES_CUH_

#ifndef FMS_TILE_INFINITY_CUH_
#define FMS_TILE_INFINITY_CUH_

namespace fms {

// What <cmath> calls INFINITY, which NVRTC doesn't have.
__device__ inline float infinity() { return __int_as_float(0x7f800000); }

}  // namespace fms

#endif  // FMS_TILE_INFINITY_CUH_

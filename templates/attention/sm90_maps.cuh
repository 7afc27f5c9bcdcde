#ifndef FMS_ATTENTION_SM90_MAPS_CUH_
#define FMS_ATTENTION_SM90_MAPS_CUH_

#include "ptx/tensor_map.cuh"
#include "ptx/tma.cuh"

namespace fms {

// By what an array of kColumns columns is copied to panels of 64: in boxes of 64 columns, but the
// last panel's is as wide as its columns are, since the copy engine is slow on rows that end within
// a box. In the 128-byte swizzle rows of a box lie 128 bytes apart however narrow it is, and what
// is beside them stays as it was.
struct PanelMaps {
  TensorMap whole, last;
};

template <int kColumns, bool kSame = kColumns % 64 == 0 || kColumns<64> struct MapsOf {
  using Type = TensorMap;  // the only panel's, or all are alike
};
template <int kColumns>
struct MapsOf<kColumns, false> {
  using Type = PanelMaps;
};

__device__ inline const TensorMap& map_of(const TensorMap& map, bool) { return map; }
__device__ inline const TensorMap& map_of(const PanelMaps& maps, bool last) {
  return last ? maps.last : maps.whole;
}

__device__ inline void prefetch_maps(const TensorMap& map) { prefetch_tensor_map(map); }
__device__ inline void prefetch_maps(const PanelMaps& maps) {
  prefetch_tensor_map(maps.whole);
  prefetch_tensor_map(maps.last);
}

}  // namespace fms

#endif  // FMS_ATTENTION_SM90_MAPS_CUH_

#ifndef FMS_PTX_TENSOR_MAP_CUH_
#define FMS_PTX_TENSOR_MAP_CUH_

namespace fms {

// CUtensorMap of the driver, opaque. A kernel takes it as `const __grid_constant__ TensorMap`, or
// in a struct that it takes so: the copy engine reads it where the launch put it.
struct alignas(64) TensorMap {
  unsigned long long word[16];
};

}  // namespace fms

#endif  // FMS_PTX_TENSOR_MAP_CUH_

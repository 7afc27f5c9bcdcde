#ifndef FMS_SIZE_CUH_
#define FMS_SIZE_CUH_

namespace fms {

constexpr long long kDynamic = -1;

// A size that is either a constant of this kernel or an argument of the launch. The kernel takes
// the argument in both cases, so that both are launched alike, and reads it through the size:
//
//   extern "C" __global__ void saxpy(int n_argument, ...) { const int n = kN(n_argument); ... }
//
// Declared by FMS_SIZE in a template. `__device__ constexpr` there: nvcc, unlike NVRTC, calls
// members of objects that live on the device only.
template <long long kValue>
struct Size {
  static constexpr bool kIsExact = kValue != kDynamic;
  static constexpr long long kExact = kValue;

  // The constant if there is one; else the argument.
  template <typename Integer>
  __device__ constexpr Integer operator()(Integer argument) const {
    if constexpr (kIsExact) {
      return static_cast<Integer>(kValue);
    } else {
      return argument;
    }
  }

  // True if the size is known, here, to be a multiple of n: then no check at the edge is needed.
  __host__ __device__ static constexpr bool divides_by(long long n) {
    return kIsExact && kValue % n == 0;
  }
};

}  // namespace fms

#endif  // FMS_SIZE_CUH_

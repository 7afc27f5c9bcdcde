#ifndef FMS_EXAMPLES_SAXPY_CUH_
#define FMS_EXAMPLES_SAXPY_CUH_

// The smallest whole template: what it is called, what it is specialised by, the kernel.
//
// Launch: grid.x = ceil(n / kBlock), block.x = kBlock. Arguments: x, y, a, n.

#include "fms/parameter.cuh"

FMS_KERNEL(saxpy, "y = a * x + y");
FMS_TYPE(T, float32, "element type", choices(float32, float64, int32));
FMS_INT(kBlock, 256, "threads of a block", range(32, 1024), divisible(32));
FMS_SIZE(kN, "elements", range(0, 2147483647));

extern "C" __global__ void __launch_bounds__(kBlock)
    saxpy(const T* __restrict__ x, T* __restrict__ y, T a, int n_argument) {
  const long long n = kN(n_argument);
  // 64 bits: the last block may reach past the largest 32-bit index.
  const long long i = static_cast<long long>(blockIdx.x) * kBlock + threadIdx.x;
  if (kN.divides_by(kBlock) || i < n) y[i] = a * x[i] + y[i];
}

#endif  // FMS_EXAMPLES_SAXPY_CUH_

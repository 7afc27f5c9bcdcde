#ifndef FMS_EXAMPLES_BLOCK_REDUCE_CUH_
#define FMS_EXAMPLES_BLOCK_REDUCE_CUH_

// Sums an array: each block leaves the sum of what its threads visit. A second launch with one
// block sums those partial sums. No atomics, so equal inputs and grids give equal bits.
//
// Launch: any grid.x, block.x = kBlock. Arguments: x, partial (grid.x floats), n.

#include "fms/parameter.cuh"
#include "tile/element.cuh"
#include "tile/lanes.cuh"

FMS_KERNEL(block_reduce, "partial[block] = sum of the block's share of x");
FMS_TYPE(T, float32, "element type of x", choices(float32, float16, bfloat16));
FMS_INT(kBlock, 256, "threads of a block", range(32, 1024), divisible(32));
FMS_SIZE(kN, "elements", range(0, 2147483647));

extern "C" __global__ void __launch_bounds__(kBlock)
    block_reduce(const T* __restrict__ x, float* __restrict__ partial, int n_argument) {
  constexpr int kWarps = kBlock / 32;
  static_assert(kWarps <= 32, "one warp adds the sums of all warps");
  __shared__ float warp_sums[kWarps];

  const long long n = kN(n_argument);
  const long long stride = static_cast<long long>(gridDim.x) * kBlock;
  float sum = 0.0f;
  for (long long i = static_cast<long long>(blockIdx.x) * kBlock + threadIdx.x; i < n;
       i += stride) {
    sum += fms::Element<T>::load(x[i]);
  }

  sum = fms::lanes_sum<32>(sum);
  const int warp = int(threadIdx.x) / 32;
  const int lane = int(threadIdx.x) % 32;
  if (lane == 0) warp_sums[warp] = sum;
  __syncthreads();
  if (warp == 0) {
    sum = fms::lanes_sum<32>(lane < kWarps ? warp_sums[lane] : 0.0f);
    if (lane == 0) partial[blockIdx.x] = sum;
  }
}

#endif  // FMS_EXAMPLES_BLOCK_REDUCE_CUH_

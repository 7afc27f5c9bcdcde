// All blocks of a cooperative launch meet, thrice: each then sees what all have written.

extern "C" __global__ void grid_barrier(unsigned* arrived, volatile unsigned* values,
                                        unsigned* sums) {
  const unsigned blocks = gridDim.x;
  unsigned sum = 0;
  for (unsigned round = 1; round <= 3; ++round) {
    if (threadIdx.x == 0) values[blockIdx.x] = blockIdx.x * round + 1;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
      atomicAdd(arrived, 1u);
      while (*static_cast<volatile unsigned*>(arrived) < (2 * round - 1) * blocks) {
      }
      __threadfence();
    }
    __syncthreads();
    for (unsigned i = threadIdx.x; i < blocks; i += blockDim.x) sum += values[i];
    __syncthreads();
    if (threadIdx.x == 0) {
      atomicAdd(arrived, 1u);
      while (*static_cast<volatile unsigned*>(arrived) < 2 * round * blocks) {
      }
    }
    __syncthreads();
  }
  atomicAdd(&sums[blockIdx.x], sum);
}

// Sums by a tree in shared memory: half of the threads drop out at each step, and all meet at the
// barrier. Blocks of a power of two.

extern "C" __global__ void tree_sum(const unsigned* x, unsigned* sums, int n) {
  __shared__ unsigned partial[512];
  const unsigned thread = threadIdx.x;
  const unsigned i = blockIdx.x * blockDim.x + thread;
  partial[thread] = i < n ? x[i] : 0;
  __syncthreads();
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    if (thread < half) partial[thread] += partial[thread + half];
    __syncthreads();
  }
  if (thread == 0) sums[blockIdx.x] = partial[0];
}

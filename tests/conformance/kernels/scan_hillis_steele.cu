// The inclusive sums of each block's values, by doubling distances between two buffers.

extern "C" __global__ void scan_hillis_steele(const int* x, int* sums, int n) {
  __shared__ int buffers[2][1024];
  const int thread = threadIdx.x;
  const int i = blockIdx.x * blockDim.x + thread;
  int from = 0;
  buffers[from][thread] = i < n ? x[i] : 0;
  __syncthreads();
  for (int distance = 1; distance < blockDim.x; distance *= 2) {
    int value = buffers[from][thread];
    if (thread >= distance) value += buffers[from][thread - distance];
    buffers[1 - from][thread] = value;
    from = 1 - from;
    __syncthreads();
  }
  if (i < n) sums[i] = buffers[from][thread];
}

// Keeps the values that a threshold lets pass, in any order: the threads of a warp that have one
// take their places with one atomic.

__device__ int take_place(int* count) {
  const unsigned active = __activemask();
  const int lane = threadIdx.x % 32;
  const int leader = __ffs(active) - 1;
  int start = 0;
  if (lane == leader) start = atomicAdd(count, __popc(active));
  start = __shfl_sync(active, start, leader);
  return start + __popc(active & ((1u << lane) - 1));
}

extern "C" __global__ void filter_aggregated(const int* x, int* kept, int* count, int n,
                                             int threshold) {
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    const int value = x[i];
    if (value > threshold) kept[take_place(count)] = value;
  }
}

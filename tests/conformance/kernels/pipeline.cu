// A producer warp fills one of two buffers in shared memory while the other warps use the other:
// barriers in a loop whose sides differ by warp, between which all warps meet.

extern "C" __global__ void pipeline(const int* x, long long* sums, int tiles) {
  __shared__ int buffers[2][64];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  long long sum = 0;
  for (int tile = 0; tile <= tiles; ++tile) {
    if (warp == 0) {
      if (tile < tiles) {
        buffers[tile % 2][lane] = x[tile * 64 + lane];
        buffers[tile % 2][lane + 32] = x[tile * 64 + 32 + lane];
      }
    } else if (tile > 0) {
      const int* buffer = buffers[(tile - 1) % 2];
      for (int i = 0; i < 64; ++i) sum += static_cast<long long>(buffer[i]) * (warp * 32 + lane);
    }
    __syncthreads();
  }
  sums[threadIdx.x] = sum;
}

// Each warp of a one-dimensional launch adds the values of its threads.

template <typename T>
__device__ T warp_sum(T value) {
  for (int offset = 16; offset > 0; offset /= 2) {
    value += __shfl_down_sync(0xffffffffu, value, offset);
  }
  return value;
}

extern "C" __global__ void warp_sums(const int* x, int* sums, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  const int sum = warp_sum(i < n ? x[i] : 0);
  if (threadIdx.x % 32 == 0) sums[i / 32] = sum;
}

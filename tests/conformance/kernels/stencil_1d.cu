// The sum of each value and its three neighbours on either side; outside the array is 0.

constexpr int kRadius = 3, kBlock = 96;

extern "C" __global__ void __launch_bounds__(kBlock) stencil_1d(const int* x, int* sums, int n) {
  __shared__ int halo[kBlock + 2 * kRadius];
  const int i = blockIdx.x * kBlock + threadIdx.x, local = threadIdx.x + kRadius;
  halo[local] = i < n ? x[i] : 0;
  if (threadIdx.x < kRadius) {
    const int left = i - kRadius, right = i + kBlock;
    halo[local - kRadius] = left >= 0 ? x[left] : 0;
    halo[local + kBlock] = right < n ? x[right] : 0;
  }
  __syncthreads();
  if (i >= n) return;
  int sum = 0;
#pragma unroll
  for (int offset = -kRadius; offset <= kRadius; ++offset) sum += halo[local + offset];
  sums[i] = sum;
}

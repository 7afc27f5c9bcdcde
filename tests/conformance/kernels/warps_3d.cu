// The warps of a block of several dimensions run along x, then y, then z: the sum of the linear
// indices of a warp's threads says so.

extern "C" __global__ void warps_3d(unsigned* sums) {
  const unsigned threads = blockDim.x * blockDim.y * blockDim.z;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const unsigned first = thread / 32 * 32;
  const unsigned mask = threads - first >= 32 ? 0xffffffffu : (1u << (threads - first)) - 1;
  unsigned sum = 0;
  for (unsigned lane = 0; lane < 32 && first + lane < threads; ++lane) {
    sum += __shfl_sync(mask, thread, lane);
  }
  sums[blockIdx.x * threads + thread] = sum;
}

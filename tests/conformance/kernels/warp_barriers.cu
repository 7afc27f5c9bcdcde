// Pairs of lanes hand values over through shared memory behind __syncwarp, of the whole warp and of
// parts of it.

extern "C" __global__ void warp_barriers(int* out) {
  __shared__ int slots[256];
  const int thread = threadIdx.x, lane = thread % 32;
  slots[thread] = thread * thread;
  __syncwarp();
  int value = slots[thread ^ 1];
  __syncwarp();
  const unsigned half = lane < 16 ? 0x0000ffffu : 0xffff0000u;
  for (int round = 0; round < (lane < 16 ? 3 : 5); ++round) {
    slots[thread] = value;
    __syncwarp(half);
    value = slots[thread ^ 15] + round;
    __syncwarp(half);
  }
  out[blockIdx.x * blockDim.x + thread] = value;
}

// Functions that are not inlined, with barriers, shuffles and shared memory of their own, called in
// loops and with different arguments.

__device__ __noinline__ int broadcast(int value, int from) {
  __shared__ int slot;
  __syncthreads();
  if (threadIdx.x == from) slot = value;
  __syncthreads();
  return slot;
}

__device__ __noinline__ int warp_greatest(int value) {
  for (int mask = 16; mask > 0; mask /= 2) {
    value = max(value, __shfl_xor_sync(0xffffffffu, value, mask));
  }
  return value;
}

__device__ __noinline__ int both(int value, int from) {
  return broadcast(warp_greatest(value), from) + warp_greatest(-value);
}

extern "C" __global__ void called_barriers(const int* x, int* out, int rounds) {
  int value = x[blockIdx.x * blockDim.x + threadIdx.x];
  for (int round = 0; round < rounds; ++round) value += both(value, 7 * round);
  out[blockIdx.x * blockDim.x + threadIdx.x] = value;
}

// A chain of warps: each waits for the one before it by reading shared memory until a flag is set,
// and the first is the last to start.

extern "C" __global__ void spin_wait(unsigned* out) {
  __shared__ volatile unsigned flags[32];
  __shared__ volatile unsigned chain[32];
  const unsigned warps = blockDim.x / 32, lane = threadIdx.x % 32;
  const unsigned place = warps - 1 - threadIdx.x / 32;  // in the chain
  if (threadIdx.x < 32) flags[threadIdx.x] = 0;
  __syncthreads();
  if (lane == 0) {
    unsigned value = 1;
    if (place > 0) {
      while (flags[place - 1] == 0) {
      }
      __threadfence_block();
      value = chain[place - 1] * 3 + place;
    }
    chain[place] = value;
    __threadfence_block();
    flags[place] = 1;
  }
  __syncthreads();
  if (threadIdx.x < warps) out[blockIdx.x * warps + threadIdx.x] = chain[threadIdx.x];
}

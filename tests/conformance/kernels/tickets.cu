// Each thread takes a number of tickets that depends on it, from a counter that all share; nested
// loops with a divergent break, no barriers.

extern "C" __global__ void tickets(unsigned* counter, unsigned* owners) {
  const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
  for (unsigned round = 0; round < 8; ++round) {
    for (unsigned i = 0; i < 3; ++i) {
      if (thread % 5 == i) break;
      owners[atomicAdd(counter, 1u)] = thread;
    }
    if (round >= thread % 7) break;
  }
}

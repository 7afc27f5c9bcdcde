// Every thread changes two numbers that belong together, one at a time behind a lock.

extern "C" __global__ void spin_lock(int* lock, volatile unsigned* count,
                                     volatile unsigned* checksum) {
  const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
  bool done = false;
  while (!done) {
    if (atomicCAS(lock, 0, 1) == 0) {
      __threadfence();
      *count = *count + 1;
      *checksum = *checksum ^ (thread * 2654435761u);
      __threadfence();
      atomicExch(lock, 0);
      done = true;
    }
  }
}

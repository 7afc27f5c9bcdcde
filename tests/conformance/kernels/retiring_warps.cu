// Warps leave a loop with a barrier by ending, each in its own round; those that are left go on
// meeting.

extern "C" __global__ void retiring_warps(int* last_round, int* arrivals) {
  __shared__ int count;
  const int thread = threadIdx.x;
  const int i = blockIdx.x * blockDim.x + thread;
  if (thread == blockDim.x - 1) count = 0;
  for (int round = 0;; ++round) {
    __syncthreads();
    atomicAdd(&count, 1);
    __syncthreads();
    last_round[i] = round;
    arrivals[i] = count;
    if (round == thread / 32 % 7) return;
  }
}

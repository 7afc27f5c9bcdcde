// A thread of the second warp takes what one of the first has written; the flag is not always
// waited for.

extern "C" __global__ void flags(int* out, bool wait) {
  __shared__ volatile int ready;
  __shared__ int value;
  if (threadIdx.x == 0) ready = 0;
  __syncthreads();
  if (threadIdx.x == 0) {
    value = 42;
    __threadfence_block();
    ready = 1;
  }
  if (threadIdx.x == 32) {
    while (wait && ready == 0) {
    }
    __threadfence_block();
    *out = value;
  }
}

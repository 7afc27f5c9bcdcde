extern "C" __global__ void lanes_that_never_come(int* out) {
  int value = threadIdx.x;
  if (threadIdx.x < 5) {
    value = __shfl_sync(0xffffffffu, value, 0);
  } else {
    __syncthreads();
  }
  out[threadIdx.x] = value;
}

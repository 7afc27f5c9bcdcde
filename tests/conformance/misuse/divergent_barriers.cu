extern "C" __global__ void divergent_barriers(int* out) {
  if (threadIdx.x < 10) {
    __syncthreads();
    out[threadIdx.x] = 1;
    __syncthreads();
  } else {
    out[threadIdx.x] = 2;
    __syncthreads();
  }
}

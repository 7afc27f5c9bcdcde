extern "C" __global__ void shared_write(int* out) {
  __shared__ int tile[32];
  tile[threadIdx.x + 1] = threadIdx.x;  // the last thread's lies behind it
  __syncthreads();
  out[threadIdx.x] = tile[0];
}

extern "C" __global__ void shared_read(int* out, int distance) {
  __shared__ int before[32];
  __shared__ float tile[64];
  before[threadIdx.x] = 1;
  tile[threadIdx.x] = 1;
  tile[threadIdx.x + 32] = 2;
  __syncthreads();
  // What lies before it, or behind it, may be another variable.
  out[threadIdx.x] = tile[int(threadIdx.x) * distance] + before[threadIdx.x];
}

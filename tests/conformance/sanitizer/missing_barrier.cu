extern "C" __global__ void missing_barrier(const int* x, int* out) {
  __shared__ int partial[128];
  const int i = threadIdx.x;
  partial[i] = x[i];
  out[i] = partial[i ^ 64];
}

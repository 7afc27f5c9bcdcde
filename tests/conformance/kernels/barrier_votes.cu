// What the barriers that vote say: how many, all, any.

extern "C" __global__ void barrier_votes(const int* x, int* counts, int* alls, int* anys) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  const int count = __syncthreads_count(x[i] > 0);
  const int all = __syncthreads_and(x[i] > 0);
  const int any = __syncthreads_or(x[i] > 0);
  counts[i] = count;
  alls[i] = all != 0;
  anys[i] = any != 0;
}

// The exclusive sums of twice as many values as the block has threads, up and down a tree, in
// dynamic shared memory. Blocks of a power of two.

extern __shared__ unsigned tree[];

extern "C" __global__ void scan_blelloch(const unsigned* x, unsigned* sums) {
  const unsigned n = 2 * blockDim.x, thread = threadIdx.x;
  const unsigned start = blockIdx.x * n;
  tree[2 * thread] = x[start + 2 * thread];
  tree[2 * thread + 1] = x[start + 2 * thread + 1];
  unsigned offset = 1;
  for (unsigned active = n >> 1; active > 0; active >>= 1) {
    __syncthreads();
    if (thread < active) {
      const unsigned a = offset * (2 * thread + 1) - 1, b = offset * (2 * thread + 2) - 1;
      tree[b] += tree[a];
    }
    offset *= 2;
  }
  if (thread == 0) tree[n - 1] = 0;
  for (unsigned active = 1; active < n; active *= 2) {
    offset >>= 1;
    __syncthreads();
    if (thread < active) {
      const unsigned a = offset * (2 * thread + 1) - 1, b = offset * (2 * thread + 2) - 1;
      const unsigned left = tree[a];
      tree[a] = tree[b];
      tree[b] += left;
    }
  }
  __syncthreads();
  sums[start + 2 * thread] = tree[2 * thread];
  sums[start + 2 * thread + 1] = tree[2 * thread + 1];
}

// Sorts each block's values in shared memory. Blocks of a power of two.

__device__ void swap_if(unsigned& a, unsigned& b, bool condition) {
  if (!condition) return;
  const unsigned old = a;
  a = b;
  b = old;
}

extern "C" __global__ void bitonic_sort(unsigned* x) {
  __shared__ unsigned keys[512];
  const unsigned thread = threadIdx.x;
  keys[thread] = x[blockIdx.x * blockDim.x + thread];
  __syncthreads();
  for (unsigned size = 2; size <= blockDim.x; size *= 2) {
    for (unsigned distance = size / 2; distance > 0; distance /= 2) {
      const unsigned partner = thread ^ distance;
      if (partner > thread) {
        const bool ascending = (thread & size) == 0;
        swap_if(keys[thread], keys[partner], keys[thread] > keys[partner] == ascending);
      }
      __syncthreads();
    }
  }
  x[blockIdx.x * blockDim.x + thread] = keys[thread];
}

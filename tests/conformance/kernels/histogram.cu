// Counts bytes: each block in shared memory, then all blocks in global memory.

extern "C" __global__ void histogram(const unsigned char* bytes, unsigned* counts, int n) {
  __shared__ unsigned of_block[256];
  for (int bin = threadIdx.x; bin < 256; bin += blockDim.x) of_block[bin] = 0;
  __syncthreads();
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    atomicAdd(&of_block[bytes[i]], 1u);
  }
  __syncthreads();
  for (int bin = threadIdx.x; bin < 256; bin += blockDim.x) {
    if (of_block[bin] != 0) atomicAdd(&counts[bin], of_block[bin]);
  }
}

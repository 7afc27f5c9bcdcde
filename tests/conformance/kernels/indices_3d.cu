// Every thread of a grid and blocks of three dimensions writes its indices to its own place.

struct Indices {
  uint3 thread, block;
  dim3 block_dim, grid_dim;
};

extern "C" __global__ void indices_3d(Indices* out) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const unsigned threads = blockDim.x * blockDim.y * blockDim.z;
  out[block * threads + thread] = {threadIdx, blockIdx, blockDim, gridDim};
}

// Barriers in branches that a whole block takes: by an argument, by blockIdx, in a switch, in a
// function that is called from two places.

__device__ int reversed(int* shared, int value) {
  shared[threadIdx.x] = value;
  __syncthreads();
  value = shared[blockDim.x - 1 - threadIdx.x];
  __syncthreads();
  return value;
}

extern "C" __global__ void barrier_branches(int* out, int mode) {
  __shared__ int shared[100];
  int value = blockIdx.x * 1000 + threadIdx.x;
  if (mode != 0) value = reversed(shared, value) + 1;
  switch (blockIdx.x % 4) {
    case 0:
      value = reversed(shared, value);
      [[fallthrough]];
    case 1:
      shared[threadIdx.x] = value;
      __syncthreads();
      value += shared[0];
      break;
    case 2:
      value = -value;
      break;
    default:
      shared[threadIdx.x] = value;
      __syncthreads();
      value += shared[blockDim.x - 1];
  }
  __syncthreads();
  if (blockIdx.x % 2 == 1) value = reversed(shared, value * 2);
  out[blockIdx.x * blockDim.x + threadIdx.x] = value;
}

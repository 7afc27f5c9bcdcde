extern "C" __global__ void failing_assert(const int* x) {
  const int i = (blockIdx.y * gridDim.x + blockIdx.x) * blockDim.x + threadIdx.x;
  assert(x[i] != 42);
}

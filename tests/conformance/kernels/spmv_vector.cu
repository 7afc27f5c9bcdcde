// y = a x for a sparse matrix by rows (CSR), a warp for each row. The warps of a block have rows of
// different lengths, and so have different numbers of rounds before their shuffles.

extern "C" __global__ void spmv_vector(const int* __restrict__ row_starts,
                                       const int* __restrict__ columns,
                                       const float* __restrict__ values,
                                       const float* __restrict__ x, float* __restrict__ y,
                                       int rows) {
  const int warps = gridDim.x * (blockDim.x / warpSize);
  const int lane = threadIdx.x % warpSize;
  for (int row = (blockIdx.x * blockDim.x + threadIdx.x) / warpSize; row < rows; row += warps) {
    float sum = 0;
    for (int i = row_starts[row] + lane; i < row_starts[row + 1]; i += warpSize) {
      sum += __ldg(&values[i]) * __ldg(&x[columns[i]]);
    }
    for (int offset = warpSize / 2; offset > 0; offset /= 2) {
      sum += __shfl_down_sync(0xffffffffu, sum, offset);
    }
    if (lane == 0) y[row] = sum;
  }
}

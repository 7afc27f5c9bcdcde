// y = a x for a sparse matrix by rows (CSR), a thread for each row.

extern "C" __global__ void spmv_scalar(const int* row_starts, const int* columns,
                                       const float* values, const float* x, float* y, int rows) {
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row < rows) {
    float sum = 0;
    const int end = row_starts[row + 1];
    for (int i = row_starts[row]; i < end; ++i) sum += values[i] * x[columns[i]];
    y[row] = sum;
  }
}

#ifndef FMS_EXAMPLES_TRANSPOSE_CUH_
#define FMS_EXAMPLES_TRANSPOSE_CUH_

// Transposes a row-major matrix by way of a tile in shared memory, so that both the reads and the
// writes of a warp are of neighbouring addresses.
//
// Launch: grid = (ceil(columns / kTile), ceil(rows / kTile)), block = (kTile, kTile / kRowsEach).
// Arguments: in, out, rows, columns.

#include "fms/parameter.cuh"

FMS_KERNEL(transpose, "out[j][i] = in[i][j]");
FMS_TYPE(T, float32, "element type", choices(float32, float64, float16, bfloat16, int32));
FMS_INT(kTile, 32, "rows and columns of a tile", choices(16, 32));
FMS_INT(kRowsEach, 4, "rows of the tile that a thread copies", choices(1, 2, 4, 8));
FMS_SIZE(kRows, "rows of in", range(0, 2097120));
FMS_SIZE(kColumns, "columns of in", range(0, 2147483647));

extern "C" __global__ void __launch_bounds__(kTile* kTile / kRowsEach)
    transpose(const T* __restrict__ in, T* __restrict__ out, int rows_argument,
              int columns_argument) {
  constexpr int kStep = kTile / kRowsEach;
  // One column more than needed: elements of a tile's column then lie in different banks.
  __shared__ T tile[kTile][kTile + 1];

  const long long rows = kRows(rows_argument);
  const long long columns = kColumns(columns_argument);
  const long long first_row = static_cast<long long>(blockIdx.y) * kTile;
  const long long first_column = static_cast<long long>(blockIdx.x) * kTile;
  const int x = int(threadIdx.x);
  for (int y = int(threadIdx.y); y < kTile; y += kStep) {
    if (first_row + y < rows && first_column + x < columns) {
      tile[y][x] = in[(first_row + y) * columns + first_column + x];
    }
  }
  __syncthreads();
  for (int y = int(threadIdx.y); y < kTile; y += kStep) {
    if (first_column + y < columns && first_row + x < rows) {
      out[(first_column + y) * rows + first_row + x] = tile[x][y];
    }
  }
}

#endif  // FMS_EXAMPLES_TRANSPOSE_CUH_

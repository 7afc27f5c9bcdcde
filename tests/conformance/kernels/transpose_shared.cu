// out = in transposed, through a tile in shared memory. Blocks of (32, 8).

template <typename T, int kRows, int kColumns>
struct Tile {
  T element[kRows][kColumns + 1];
};

extern "C" __global__ void transpose_shared(const unsigned short* __restrict__ in,
                                            unsigned short* __restrict__ out, int rows,
                                            int columns) {
  __shared__ Tile<unsigned short, 32, 32> tile;
  int x = blockIdx.x * 32 + threadIdx.x, y = blockIdx.y * 32 + threadIdx.y;
  for (int j = 0; j < 32; j += 8) {
    if (x < columns && y + j < rows) {
      tile.element[threadIdx.y + j][threadIdx.x] = in[(y + j) * columns + x];
    }
  }
  __syncthreads();
  x = blockIdx.y * 32 + threadIdx.x;
  y = blockIdx.x * 32 + threadIdx.y;
  for (int j = 0; j < 32; j += 8) {
    if (x < rows && y + j < columns) {
      out[(y + j) * rows + x] = tile.element[threadIdx.x][threadIdx.y + j];
    }
  }
}

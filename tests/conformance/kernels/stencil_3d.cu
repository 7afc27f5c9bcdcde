// Seven points in three dimensions, periodic: 2 x[center] + the six neighbours, weighted by
// direction. The halo of a block is loaded by all its threads. Blocks of (8, 8, 4).

struct Extent {
  int x, y, z;
};

__device__ int wrapped(int i, int n) { return (i % n + n) % n; }

extern "C" __global__ void stencil_3d(const int* in, int* out, Extent extent) {
  constexpr int kX = 8 + 2, kY = 8 + 2, kZ = 4 + 2;
  __shared__ int halo[kZ][kY][kX];
  const int x0 = blockIdx.x * 8 - 1, y0 = blockIdx.y * 8 - 1, z0 = blockIdx.z * 4 - 1;
  const int thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  for (int i = thread; i < kX * kY * kZ; i += blockDim.x * blockDim.y * blockDim.z) {
    const int x = i % kX, y = i / kX % kY, z = i / (kX * kY);
    halo[z][y][x] =
        in[(wrapped(z0 + z, extent.z) * extent.y + wrapped(y0 + y, extent.y)) * extent.x +
           wrapped(x0 + x, extent.x)];
  }
  __syncthreads();
  const int lx = threadIdx.x + 1, ly = threadIdx.y + 1, lz = threadIdx.z + 1;
  const int x = x0 + lx, y = y0 + ly, z = z0 + lz;
  if (x >= extent.x || y >= extent.y || z >= extent.z) return;
  out[(z * extent.y + y) * extent.x + x] = 2 * halo[lz][ly][lx] + 3 * halo[lz][ly][lx - 1] +
                                           5 * halo[lz][ly][lx + 1] + 7 * halo[lz][ly - 1][lx] +
                                           11 * halo[lz][ly + 1][lx] + 13 * halo[lz - 1][ly][lx] +
                                           17 * halo[lz + 1][ly][lx];
}

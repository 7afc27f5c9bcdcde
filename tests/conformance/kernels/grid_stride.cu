// y = a x + y over more elements than the grid has threads, or fewer.

extern "C" __global__ void grid_stride(const float* __restrict__ x, float* __restrict__ y, float a,
                                       long long n) {
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < n;
       i += stride) {
    y[i] = a * x[i] + y[i];
  }
}

// All four shuffles of a value, by a distance and a width that the launch says.

template <typename T>
__device__ void all_four(const T* x, T* out, int distance, int width) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  out[4 * i] = __shfl_sync(0xffffffffu, x[i], distance, width);
  out[4 * i + 1] = __shfl_up_sync(0xffffffffu, x[i], distance, width);
  out[4 * i + 2] = __shfl_down_sync(0xffffffffu, x[i], distance, width);
  out[4 * i + 3] = __shfl_xor_sync(0xffffffffu, x[i], distance, width);
}

extern "C" __global__ void shuffle_int(const int* x, int* out, int distance, int width) {
  all_four(x, out, distance, width);
}
extern "C" __global__ void shuffle_unsigned(const unsigned* x, unsigned* out, int distance,
                                            int width) {
  all_four(x, out, distance, width);
}
extern "C" __global__ void shuffle_long(const long long* x, long long* out, int distance,
                                        int width) {
  all_four(x, out, distance, width);
}
extern "C" __global__ void shuffle_float(const float* x, float* out, int distance, int width) {
  all_four(x, out, distance, width);
}
extern "C" __global__ void shuffle_double(const double* x, double* out, int distance, int width) {
  all_four(x, out, distance, width);
}

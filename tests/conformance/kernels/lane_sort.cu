// Sorts the values of each warp by exchanging them between lanes.

extern "C" __global__ void lane_sort(const float* x, float* sorted) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x % 32;
  float value = x[i];
#pragma unroll
  for (int size = 2; size <= 32; size *= 2) {
#pragma unroll
    for (int distance = size / 2; distance > 0; distance /= 2) {
      const float other = __shfl_xor_sync(0xffffffffu, value, distance);
      const bool keep_less = ((lane & size) == 0) == ((lane & distance) == 0);
      value = keep_less ? fminf(value, other) : fmaxf(value, other);
    }
  }
  sorted[i] = value;
}

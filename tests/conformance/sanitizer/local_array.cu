extern "C" __global__ void local_array(const int* indices, int* out) {
  int counts[8] = {};
  for (int i = 0; i < 4; ++i) {
    ++counts[indices[threadIdx.x * 4 + i]];
  }
  __syncthreads();
  out[threadIdx.x] = counts[0] + counts[7];
}

extern "C" __global__ void missing_syncwarp(int* out, bool wait) {
  __shared__ int values[32];
  const int lane = threadIdx.x;
  values[lane] = lane;
  if (wait) __syncwarp();
  out[lane] = values[lane ^ 1];
}

extern "C" __global__ void half_a_warp(int* out, int reach) {
  __shared__ int values[32];
  const int lane = threadIdx.x;
  values[lane] = lane;
  __syncwarp(lane < 16 ? 0xffffu : 0xffff0000u);
  out[lane] = values[lane ^ reach];
}

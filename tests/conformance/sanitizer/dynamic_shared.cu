extern __shared__ float rows[];

extern "C" __global__ void dynamic_shared(float* out, int width) {
  __shared__ float first[4];
  if (threadIdx.x < 4) first[threadIdx.x] = 1;
  for (int i = 0; i < width; ++i) rows[threadIdx.x * width + i] = i;
  __syncthreads();
  out[threadIdx.x] = rows[threadIdx.x * width] + first[0];
}

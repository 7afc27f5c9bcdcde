// Two arrays of different types carved from dynamic shared memory, behind a static one: each thread
// reads what its mirror image wrote.

extern __shared__ __align__(16) unsigned char memory[];

extern "C" __global__ void dynamic_shared(double* doubles_out, short* shorts_out, int* statics_out,
                                          int count) {
  __shared__ int statics[7];
  double* doubles = reinterpret_cast<double*>(memory);
  short* shorts = reinterpret_cast<short*>(doubles + count);
  for (int i = threadIdx.x; i < count; i += blockDim.x) {
    doubles[i] = blockIdx.x + i * 0.5;
    shorts[i] = static_cast<short>(blockIdx.x * 1000 - i);
  }
  if (threadIdx.x < 7) statics[threadIdx.x] = blockIdx.x * 10 + threadIdx.x;
  __syncthreads();
  for (int i = threadIdx.x; i < count; i += blockDim.x) {
    doubles_out[blockIdx.x * count + i] = doubles[count - 1 - i];
    shorts_out[blockIdx.x * count + i] = shorts[count - 1 - i];
  }
  if (threadIdx.x < 7) statics_out[blockIdx.x * 7 + threadIdx.x] = statics[6 - threadIdx.x];
}

extern "C" __global__ void undefined_name(float* out) {
  const int i = threadIdx.x;
  out[i] = no_such_name + i;
}

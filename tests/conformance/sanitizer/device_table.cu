__constant__ int table[4] = {1, 2, 3, 4};
__device__ int counts[4];

extern "C" __global__ void device_table(int* out, int bias) {
  const int i = threadIdx.x;
  counts[i] = table[i];
  int* chosen = out[0] != 0 ? counts : out;
  chosen[i] = table[i + bias];
}

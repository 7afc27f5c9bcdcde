// The lanes of equal values, and whether all are equal, of 32 and 64 bits.

extern "C" __global__ void matches(const unsigned long long* x, unsigned* any_32, unsigned* any_64,
                                   unsigned* all, int* all_equal) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  any_32[i] = __match_any_sync(0xffffffffu, static_cast<unsigned>(x[i]));
  any_64[i] = __match_any_sync(0xffffffffu, x[i]);
  int equal = -1;
  all[i] = __match_all_sync(0xffffffffu, x[i], &equal);
  all_equal[i] = equal != 0;
}

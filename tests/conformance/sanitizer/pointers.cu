__device__ int chosen(int what) {
  if (what == 4) __builtin_unreachable();
  return what;
}

extern "C" __global__ void pointers(char* x, int* null, int what) {
  const int i = threadIdx.x;
  if (what == 0) *reinterpret_cast<int*>(x + 4 * i + (i == 5)) = i;
  if (what == 1 && i == 6) *null = 1;
  if (what == 2 && i == 7) x[0] = reinterpret_cast<float2*>(x + 4 * i)->x > 0;
  if (what == 3) x[i] = *reinterpret_cast<bool*>(x + i) ? 1 : 2;
  if (what == 4 && i == 8) x[0] = chosen(what);
  int table[4] = {1, 2, 3, 4};
  if (what == 5) x[i] = table[i];
}

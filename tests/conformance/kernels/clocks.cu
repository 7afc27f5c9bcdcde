// Clocks go forward for a thread, and a nap takes time.

extern "C" __global__ void clocks(long long* elapsed, unsigned* value) {
  const long long start = clock64();
  const clock_t start_32 = clock();
  unsigned x = threadIdx.x;
  for (int i = 0; i < 1000; ++i) x = x * 1664525u + 1013904223u;
  value[threadIdx.x] = x;
  __nanosleep(1000);
  elapsed[threadIdx.x] = clock64() - start + (clock() == start_32 ? 0 : 0);
}

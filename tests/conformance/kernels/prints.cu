// Each thread prints one line, with the conversions that kernels use.

extern "C" __global__ void prints(int number, double real, const char* unused) {
  if (threadIdx.x % 2 == 0) {
    printf("thread %u of block %d: %5.2f|%s|%c|%08x|%lld|%%\n", threadIdx.x,
           static_cast<int>(blockIdx.x), real, unused == nullptr ? "null" : "pointer", 'a' + number,
           static_cast<unsigned>(number) * 0x1234567u, -(1ll << 40) - number);
  }
}

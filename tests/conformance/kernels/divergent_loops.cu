// The lengths of Collatz chains: each thread has a trip count of its own. Then the warp finds which
// of its lanes had the longest.

extern "C" __global__ void divergent_loops(const unsigned* x, int* lengths, int* longest_lane,
                                           int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  unsigned long long value = i < n ? x[i] : 1;
  int length = 0;
  while (value != 1) {
    if (value % 2 == 0) {
      value /= 2;
    } else {
      value = 3 * value + 1;
      if (value > 1000000000ull) break;
    }
    ++length;
  }
  if (i < n) lengths[i] = length;
  int greatest = length, lane = threadIdx.x % 32;
  for (int mask = 1; mask < 32; mask *= 2) {
    const int other = __shfl_xor_sync(0xffffffffu, greatest, mask);
    const int other_lane = __shfl_xor_sync(0xffffffffu, lane, mask);
    if (other > greatest || (other == greatest && other_lane < lane)) {
      greatest = other;
      lane = other_lane;
    }
  }
  if (threadIdx.x % 32 == 0) longest_lane[i / 32] = lane;
}

// Warp operations inside of divergent code: in both sides of a branch, nested, and in loops that
// groups of 8 lanes leave after different numbers of rounds.

extern "C" __global__ void shuffle_in_branches(const int* x, int* branch, int* group_sums) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x % 32;
  const int value = x[i];
  const unsigned even = __ballot_sync(0xffffffffu, value % 2 == 0);
  int result;
  if (value % 2 == 0) {
    result = __shfl_sync(even, value, __ffs(even) - 1);  // of the first even lane
    const unsigned small = __ballot_sync(even, value < 100);
    if (value < 100) result += 1000 * __popc(__ballot_sync(small, value % 4 == 0));
  } else {
    result = -__shfl_sync(~even, value, 31 - __clz(~even));  // of the last odd lane
  }
  branch[i] = result;

  const int group = lane / 8;
  const unsigned mask = 0xffu << 8 * group;
  int sum = 0;
  for (int round = 0; round <= 2 * group; ++round) {
    int part = value + round;
    part += __shfl_xor_sync(mask, part, 4, 8);
    part += __shfl_xor_sync(mask, part, 2, 8);
    part += __shfl_xor_sync(mask, part, 1, 8);
    sum += part;
  }
  group_sums[i] = sum;
}

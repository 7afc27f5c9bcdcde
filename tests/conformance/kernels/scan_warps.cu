// The exclusive sums of each block's values, by shuffles, and the total of each block. Blocks of
// any size.

__device__ long long inclusive_in_warp(long long value, int lane, unsigned mask) {
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) {
    const long long below = __shfl_up_sync(mask, value, distance);
    if (lane >= distance) value += below;
  }
  return value;
}

extern "C" __global__ void scan_warps(const long long* x, long long* sums, long long* totals,
                                      int n) {
  __shared__ long long of_warps[32];
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const int warps = (blockDim.x + 31) / 32;
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  const bool is_last_warp = warp == warps - 1;
  const unsigned rest = blockDim.x % 32;
  const unsigned mask = is_last_warp && rest != 0 ? (1u << rest) - 1 : 0xffffffffu;

  const long long value = i < n ? x[i] : 0;
  const long long inclusive = inclusive_in_warp(value, lane, mask);
  const int last_lane = is_last_warp && rest != 0 ? rest - 1 : 31;
  if (lane == last_lane) of_warps[warp] = inclusive;
  __syncthreads();
  if (warp == 0 && (mask >> lane & 1) != 0) {
    // The first warp may be a part of one, and then it is the only one.
    const long long total = lane < warps ? of_warps[lane] : 0;
    const long long through = inclusive_in_warp(total, lane, mask);
    if (lane < warps) of_warps[lane] = through - total;
    if (lane == warps - 1) totals[blockIdx.x] = through;
  }
  __syncthreads();
  if (i < n) sums[i] = of_warps[warp] + inclusive - value;
}

// A warp serves one value after the other: all lanes that have the first lane's value leave
// together, and the rest go on with fewer lanes.

extern "C" __global__ void warp_rounds(const int* x, int* rounds, int* peers, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned waiting = __ballot_sync(__activemask(), true);
  for (int round = 0;; ++round) {
    const int leader = __ffs(waiting) - 1;
    const int value = __shfl_sync(waiting, x[i], leader);
    const unsigned served = __ballot_sync(waiting, x[i] == value);
    if (x[i] == value) {
      rounds[i] = round;
      peers[i] = __popc(served);
      break;
    }
    waiting &= ~served;
  }
}

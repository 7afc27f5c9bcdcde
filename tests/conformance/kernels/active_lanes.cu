// Every lane is in exactly one active mask of its branch, however the hardware groups them: the
// masks of a branch cover all lanes that took it.

extern "C" __global__ void active_lanes(const int* x, unsigned* masks, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  if (x[i] % 3 == 0) {
    masks[i] = __activemask();
  } else if (x[i] % 3 == 1) {
    masks[i] = __activemask();
  } else {
    masks[i] = __activemask();
  }
}

// The votes of each warp, of its full mask and of the lanes that a first vote chose.

struct Votes {
  unsigned ballot;
  int all, any;
  unsigned odd_ballot;
  int odd_all, odd_any;
};

extern "C" __global__ void votes(const int* x, Votes* out, int threshold) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  const bool is_above = x[i] > threshold;
  Votes result{};
  result.ballot = __ballot_sync(0xffffffffu, is_above);
  result.all = __all_sync(0xffffffffu, is_above) != 0;
  result.any = __any_sync(0xffffffffu, is_above) != 0;
  const unsigned odd = __ballot_sync(0xffffffffu, x[i] & 1);
  if (x[i] & 1) {
    result.odd_ballot = __ballot_sync(odd, is_above);
    result.odd_all = __all_sync(odd, is_above) != 0;
    result.odd_any = __any_sync(odd, is_above) != 0;
  }
  out[i] = result;
}

// Barriers in nested loops whose trip counts are the same for a block and differ among blocks: a
// value moves on by one thread each round.

extern "C" __global__ void barrier_loops(const unsigned* x, unsigned* out, int rounds) {
  __shared__ unsigned ring[160];
  const unsigned n = blockDim.x, thread = threadIdx.x;
  unsigned value = x[blockIdx.x * n + thread];
  for (int outer = 0; outer <= blockIdx.x; ++outer) {
    for (int inner = 0; inner < rounds + outer; ++inner) {
      ring[thread] = value;
      __syncthreads();
      value = ring[(thread + 1) % n] * 3 + inner;
      __syncthreads();
    }
  }
  out[blockIdx.x * n + thread] = value;
}

// The reductions of a warp that sm_80 has as instructions, of the lanes with equal values mod 3.

extern "C" __global__ void reduce_sync(const int* x, int* out) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  const int value = x[i];
  const unsigned bits = static_cast<unsigned>(value);
  const unsigned group = __match_any_sync(0xffffffffu, bits % 3);
  out[8 * i] = __reduce_add_sync(group, value);
  out[8 * i + 1] = __reduce_min_sync(group, value);
  out[8 * i + 2] = __reduce_max_sync(group, value);
  out[8 * i + 3] = __reduce_min_sync(group, bits);
  out[8 * i + 4] = __reduce_max_sync(group, bits);
  out[8 * i + 5] = __reduce_and_sync(group, bits);
  out[8 * i + 6] = __reduce_or_sync(group, bits);
  out[8 * i + 7] = __reduce_xor_sync(group, bits);
}

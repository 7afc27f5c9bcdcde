#ifndef FMS_CPU_WARP_CUH_
#define FMS_CPU_WARP_CUH_

// Barriers, votes, shuffles, matches and reductions. The numbers are cpu::Operation's.

#pragma clang system_header

FMS_CPU_FN void __syncthreads() { __fms_barrier(); }
FMS_CPU_FN int __syncthreads_count(int predicate) {
  return int(__fms_barrier_reduce(14, predicate != 0));
}
FMS_CPU_FN int __syncthreads_and(int predicate) {
  return int(__fms_barrier_reduce(15, predicate != 0));
}
FMS_CPU_FN int __syncthreads_or(int predicate) {
  return int(__fms_barrier_reduce(16, predicate != 0));
}
FMS_CPU_FN void __syncwarp(unsigned mask = 0xffff'ffff) { __fms_warp(0, mask, 0, 0); }
FMS_CPU_FN unsigned __activemask() { return __fms_active_mask(); }

FMS_CPU_FN unsigned __ballot_sync(unsigned mask, int predicate) {
  return unsigned(__fms_warp(2, mask, predicate != 0, 0));
}
FMS_CPU_FN int __any_sync(unsigned mask, int predicate) {
  return __ballot_sync(mask, predicate) != 0;
}
// Not ballot == mask: lanes of the mask that have ended don't vote.
FMS_CPU_FN int __all_sync(unsigned mask, int predicate) {
  return __ballot_sync(mask, predicate == 0) == 0;
}

// The lane that a shuffle reads, of 32. A lane whose source lies outside its segment of `width`
// reads itself; only xor may reach an earlier segment, as in PTX.
FMS_CPU_FN unsigned fms_cpu_lane() { return __fms_thread() & 31; }
FMS_CPU_FN unsigned fms_cpu_source(int from, int width) {
  const unsigned last = unsigned(width) - 1;
  return (fms_cpu_lane() & ~last & 31) | (unsigned(from) & last & 31);
}
FMS_CPU_FN unsigned fms_cpu_source_up(unsigned delta, int width) {
  const unsigned lane = fms_cpu_lane();
  return (lane & (unsigned(width) - 1)) >= (delta & 31) ? lane - (delta & 31) : lane;
}
FMS_CPU_FN unsigned fms_cpu_source_down(unsigned delta, int width) {
  const unsigned lane = fms_cpu_lane();
  return (lane & (unsigned(width) - 1)) + (delta & 31) < unsigned(width) ? lane + (delta & 31)
                                                                         : lane;
}
FMS_CPU_FN unsigned fms_cpu_source_xor(int lanes, int width) {
  const unsigned lane = fms_cpu_lane();
  const unsigned from = lane ^ (unsigned(lanes) & 31);
  return from <= (lane | (unsigned(width) - 1)) ? from : lane;
}

// A value's bits in the word that lanes exchange. The word is 64 bits wide.
#define FMS_CPU_BITS(T, Bits)                                                \
  FMS_CPU_FN unsigned long long fms_cpu_bits(T value) {                      \
    return static_cast<unsigned long long>(__builtin_bit_cast(Bits, value)); \
  }                                                                          \
  FMS_CPU_FN void fms_cpu_set(T& value, unsigned long long bits) {           \
    value = __builtin_bit_cast(T, static_cast<Bits>(bits));                  \
  }
#define FMS_CPU_SHUFFLE(T)                                                                         \
  FMS_CPU_FN T __shfl_sync(unsigned mask, T value, int lane, int width = 32) {                     \
    fms_cpu_set(value, __fms_warp(1, mask, fms_cpu_bits(value), fms_cpu_source(lane, width)));     \
    return value;                                                                                  \
  }                                                                                                \
  FMS_CPU_FN T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {            \
    fms_cpu_set(value, __fms_warp(1, mask, fms_cpu_bits(value), fms_cpu_source_up(delta, width))); \
    return value;                                                                                  \
  }                                                                                                \
  FMS_CPU_FN T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {          \
    fms_cpu_set(value,                                                                             \
                __fms_warp(1, mask, fms_cpu_bits(value), fms_cpu_source_down(delta, width)));      \
    return value;                                                                                  \
  }                                                                                                \
  FMS_CPU_FN T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32) {                \
    fms_cpu_set(value,                                                                             \
                __fms_warp(1, mask, fms_cpu_bits(value), fms_cpu_source_xor(lanes, width)));       \
    return value;                                                                                  \
  }
#define FMS_CPU_MATCH(T)                                                          \
  FMS_CPU_FN unsigned __match_any_sync(unsigned mask, T value) {                  \
    return unsigned(__fms_warp(4, mask, fms_cpu_bits(value), 0));                 \
  }                                                                               \
  FMS_CPU_FN unsigned __match_all_sync(unsigned mask, T value, int* predicate) {  \
    const unsigned lanes = unsigned(__fms_warp(5, mask, fms_cpu_bits(value), 0)); \
    *predicate = lanes != 0;                                                      \
    return lanes;                                                                 \
  }
#define FMS_CPU_LANES(T, Bits) FMS_CPU_BITS(T, Bits) FMS_CPU_SHUFFLE(T) FMS_CPU_MATCH(T)
FMS_CPU_LANES(int, unsigned)
FMS_CPU_LANES(unsigned, unsigned)
FMS_CPU_LANES(long, unsigned long)
FMS_CPU_LANES(unsigned long, unsigned long)
FMS_CPU_LANES(long long, unsigned long long)
FMS_CPU_LANES(unsigned long long, unsigned long long)
FMS_CPU_LANES(float, unsigned)
FMS_CPU_LANES(double, unsigned long long)
#undef FMS_CPU_LANES
#undef FMS_CPU_MATCH

#define FMS_CPU_REDUCE(name, T, operation)                      \
  FMS_CPU_FN T __reduce_##name##_sync(unsigned mask, T value) { \
    return T(__fms_warp(operation, mask, unsigned(value), 0));  \
  }
FMS_CPU_REDUCE(add, int, 6)
FMS_CPU_REDUCE(add, unsigned, 6)
FMS_CPU_REDUCE(min, int, 9)
FMS_CPU_REDUCE(min, unsigned, 7)
FMS_CPU_REDUCE(max, int, 10)
FMS_CPU_REDUCE(max, unsigned, 8)
FMS_CPU_REDUCE(and, unsigned, 11)
FMS_CPU_REDUCE(or, unsigned, 12)
FMS_CPU_REDUCE(xor, unsigned, 13)
#undef FMS_CPU_REDUCE

#endif  // FMS_CPU_WARP_CUH_

#ifndef FMS_CPU_ATOMICS_CUH_
#define FMS_CPU_ATOMICS_CUH_

// Atomic operations, relaxed as CUDA's are. Those of a narrower or wider scope are the same.

#pragma clang system_header

#define FMS_CPU_ATOMIC(name, T, operation)                                                       \
  FMS_CPU_FN T name(T* address, T value) { return operation(address, value, __ATOMIC_RELAXED); } \
  FMS_CPU_FN T name##_block(T* address, T value) {                                               \
    return operation(address, value, __ATOMIC_RELAXED);                                          \
  }                                                                                              \
  FMS_CPU_FN T name##_system(T* address, T value) {                                              \
    return operation(address, value, __ATOMIC_RELAXED);                                          \
  }
FMS_CPU_ATOMIC(atomicAdd, int, __atomic_fetch_add)
FMS_CPU_ATOMIC(atomicAdd, unsigned, __atomic_fetch_add)
FMS_CPU_ATOMIC(atomicAdd, unsigned long long, __atomic_fetch_add)
FMS_CPU_ATOMIC(atomicAdd, float, __atomic_fetch_add)
FMS_CPU_ATOMIC(atomicAdd, double, __atomic_fetch_add)
FMS_CPU_ATOMIC(atomicSub, int, __atomic_fetch_sub)
FMS_CPU_ATOMIC(atomicSub, unsigned, __atomic_fetch_sub)
FMS_CPU_ATOMIC(atomicExch, int, __atomic_exchange_n)
FMS_CPU_ATOMIC(atomicExch, unsigned, __atomic_exchange_n)
FMS_CPU_ATOMIC(atomicExch, unsigned long long, __atomic_exchange_n)
#define FMS_CPU_ATOMIC_ORDERED(T)                  \
  FMS_CPU_ATOMIC(atomicMin, T, __atomic_fetch_min) \
  FMS_CPU_ATOMIC(atomicMax, T, __atomic_fetch_max)
FMS_CPU_ATOMIC_ORDERED(int)
FMS_CPU_ATOMIC_ORDERED(unsigned)
FMS_CPU_ATOMIC_ORDERED(long long)
FMS_CPU_ATOMIC_ORDERED(unsigned long long)
#undef FMS_CPU_ATOMIC_ORDERED
#define FMS_CPU_ATOMIC_BITS(T)                     \
  FMS_CPU_ATOMIC(atomicAnd, T, __atomic_fetch_and) \
  FMS_CPU_ATOMIC(atomicOr, T, __atomic_fetch_or)   \
  FMS_CPU_ATOMIC(atomicXor, T, __atomic_fetch_xor)
FMS_CPU_ATOMIC_BITS(int)
FMS_CPU_ATOMIC_BITS(unsigned)
FMS_CPU_ATOMIC_BITS(unsigned long long)
#undef FMS_CPU_ATOMIC_BITS

// Replaces the word at `address` by what `next(old)` gives. Returns the old one.
template <typename Word, typename Next>
FMS_CPU_FN Word fms_cpu_atomic_update(Word* address, Next next) {
  Word old = __atomic_load_n(address, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(address, &old, next(old), false, __ATOMIC_RELAXED,
                                      __ATOMIC_RELAXED)) {
  }
  return old;
}

FMS_CPU_FN float fms_cpu_atomic_exchange(float* address, float value, int) {
  return __builtin_bit_cast(
      float, __atomic_exchange_n(reinterpret_cast<unsigned*>(address),
                                 __builtin_bit_cast(unsigned, value), __ATOMIC_RELAXED));
}
FMS_CPU_FN unsigned fms_cpu_atomic_increment(unsigned* address, unsigned last, int) {
  return fms_cpu_atomic_update(address, [last](unsigned old) { return old >= last ? 0 : old + 1; });
}
FMS_CPU_FN unsigned fms_cpu_atomic_decrement(unsigned* address, unsigned last, int) {
  return fms_cpu_atomic_update(
      address, [last](unsigned old) { return old == 0 || old > last ? last : old - 1; });
}
FMS_CPU_ATOMIC(atomicExch, float, fms_cpu_atomic_exchange)
FMS_CPU_ATOMIC(atomicInc, unsigned, fms_cpu_atomic_increment)
FMS_CPU_ATOMIC(atomicDec, unsigned, fms_cpu_atomic_decrement)

#define FMS_CPU_ATOMIC_CAS(name, T)                                                \
  FMS_CPU_FN T name(T* address, T compare, T value) {                              \
    __atomic_compare_exchange_n(address, &compare, value, false, __ATOMIC_RELAXED, \
                                __ATOMIC_RELAXED);                                 \
    return compare;                                                                \
  }
#define FMS_CPU_ATOMIC_CAS_SCOPES(T)     \
  FMS_CPU_ATOMIC_CAS(atomicCAS, T)       \
  FMS_CPU_ATOMIC_CAS(atomicCAS_block, T) \
  FMS_CPU_ATOMIC_CAS(atomicCAS_system, T)
FMS_CPU_ATOMIC_CAS_SCOPES(int)
FMS_CPU_ATOMIC_CAS_SCOPES(unsigned)
FMS_CPU_ATOMIC_CAS_SCOPES(unsigned long long)
FMS_CPU_ATOMIC_CAS_SCOPES(unsigned short)
#undef FMS_CPU_ATOMIC_CAS_SCOPES
#undef FMS_CPU_ATOMIC_CAS

#endif  // FMS_CPU_ATOMICS_CUH_

#ifndef FMS_CPU_PACKED_INTEGERS_CUH_
#define FMS_CPU_PACKED_INTEGERS_CUH_

// Two 16-bit or four 8-bit integers in a word, element by element: CUDA's SIMD intrinsics.

#pragma clang system_header

using fms_cpu_s8x4 = signed char __attribute__((ext_vector_type(4)));
using fms_cpu_u8x4 = unsigned char __attribute__((ext_vector_type(4)));
using fms_cpu_s16x2 = short __attribute__((ext_vector_type(2)));
using fms_cpu_u16x2 = unsigned short __attribute__((ext_vector_type(2)));

#define FMS_CPU_PACKED_1(name, Elements, expression)       \
  FMS_CPU_FN unsigned name(unsigned word) {                \
    const Elements a = __builtin_bit_cast(Elements, word); \
    return __builtin_bit_cast(unsigned, expression);       \
  }
#define FMS_CPU_PACKED_2(name, Elements, expression)        \
  FMS_CPU_FN unsigned name(unsigned left, unsigned right) { \
    const Elements a = __builtin_bit_cast(Elements, left);  \
    const Elements b = __builtin_bit_cast(Elements, right); \
    return __builtin_bit_cast(unsigned, expression);        \
  }
// A comparison sets all bits of an element (vcmp) or the lowest (vset).
#define FMS_CPU_PACKED_COMPARE(name, Elements, Bits, symbol) \
  FMS_CPU_PACKED_2(__vcmp##name, Elements, a symbol b)       \
  FMS_CPU_PACKED_2(__vset##name, Elements, (Bits)(a symbol b) & (Bits)(1))
#define FMS_CPU_PACKED(n, S, U)                                                               \
  FMS_CPU_PACKED_1(__vneg##n, U, (U)(0) - a)                                                  \
  FMS_CPU_PACKED_1(__vnegss##n, S, __builtin_elementwise_sub_sat((S)(0), a))                  \
  FMS_CPU_PACKED_1(__vabs##n, S, a < (S)(0) ? (S)((U)(0) - (U)a) : a)                         \
  FMS_CPU_PACKED_1(__vabsss##n, S, a < (S)(0) ? __builtin_elementwise_sub_sat((S)(0), a) : a) \
  FMS_CPU_PACKED_2(__vadd##n, U, a + b)                                                       \
  FMS_CPU_PACKED_2(__vsub##n, U, a - b)                                                       \
  FMS_CPU_PACKED_2(__vaddss##n, S, __builtin_elementwise_add_sat(a, b))                       \
  FMS_CPU_PACKED_2(__vaddus##n, U, __builtin_elementwise_add_sat(a, b))                       \
  FMS_CPU_PACKED_2(__vsubss##n, S, __builtin_elementwise_sub_sat(a, b))                       \
  FMS_CPU_PACKED_2(__vsubus##n, U, __builtin_elementwise_sub_sat(a, b))                       \
  FMS_CPU_PACKED_2(__vmaxs##n, S, __builtin_elementwise_max(a, b))                            \
  FMS_CPU_PACKED_2(__vmaxu##n, U, __builtin_elementwise_max(a, b))                            \
  FMS_CPU_PACKED_2(__vmins##n, S, __builtin_elementwise_min(a, b))                            \
  FMS_CPU_PACKED_2(__vminu##n, U, __builtin_elementwise_min(a, b))                            \
  FMS_CPU_PACKED_2(__vabsdiffu##n, U, a > b ? a - b : b - a)                                  \
  FMS_CPU_PACKED_2(__vabsdiffs##n, S, a > b ? (U)a - (U)b : (U)b - (U)a)                      \
  FMS_CPU_PACKED_2(__vhaddu##n, U, (a & b) + ((a ^ b) >> (U)(1)))                             \
  FMS_CPU_PACKED_2(__vavgu##n, U, (a | b) - ((a ^ b) >> (U)(1)))                              \
  FMS_CPU_PACKED_COMPARE(eq##n, U, U, ==)                                                     \
  FMS_CPU_PACKED_COMPARE(ne##n, U, U, !=)                                                     \
  FMS_CPU_PACKED_COMPARE(lts##n, S, U, <)                                                     \
  FMS_CPU_PACKED_COMPARE(ltu##n, U, U, <)                                                     \
  FMS_CPU_PACKED_COMPARE(les##n, S, U, <=)                                                    \
  FMS_CPU_PACKED_COMPARE(leu##n, U, U, <=)                                                    \
  FMS_CPU_PACKED_COMPARE(gts##n, S, U, >)                                                     \
  FMS_CPU_PACKED_COMPARE(gtu##n, U, U, >)                                                     \
  FMS_CPU_PACKED_COMPARE(ges##n, S, U, >=)                                                    \
  FMS_CPU_PACKED_COMPARE(geu##n, U, U, >=)
FMS_CPU_PACKED(4, fms_cpu_s8x4, fms_cpu_u8x4)
FMS_CPU_PACKED(2, fms_cpu_s16x2, fms_cpu_u16x2)
#undef FMS_CPU_PACKED
#undef FMS_CPU_PACKED_COMPARE
#undef FMS_CPU_PACKED_2
#undef FMS_CPU_PACKED_1

// The sum of the elements' differences.
FMS_CPU_FN unsigned fms_cpu_sum4(unsigned word) {
  return (word & 0xff) + (word >> 8 & 0xff) + (word >> 16 & 0xff) + (word >> 24);
}
FMS_CPU_FN unsigned __vsads4(unsigned a, unsigned b) { return fms_cpu_sum4(__vabsdiffs4(a, b)); }
FMS_CPU_FN unsigned __vsadu4(unsigned a, unsigned b) { return fms_cpu_sum4(__vabsdiffu4(a, b)); }
FMS_CPU_FN unsigned __vsads2(unsigned a, unsigned b) {
  return (__vabsdiffs2(a, b) & 0xffff) + (__vabsdiffs2(a, b) >> 16);
}
FMS_CPU_FN unsigned __vsadu2(unsigned a, unsigned b) {
  return (__vabsdiffu2(a, b) & 0xffff) + (__vabsdiffu2(a, b) >> 16);
}

#endif  // FMS_CPU_PACKED_INTEGERS_CUH_

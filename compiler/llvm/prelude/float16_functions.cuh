// Functions of a 16-bit type and of pairs, for the header that has defined what float16_types.cuh
// needs. Read once for each type: it has no guard. A name's 2 says that it works on pairs, element
// by element.

#pragma clang system_header

#define FMS_CPU_UNARY(name, name2, expression)                         \
  FMS_CPU_FN FMS_CPU_T name(const FMS_CPU_T& a) { return expression; } \
  FMS_CPU_FN FMS_CPU_T2 name2(const FMS_CPU_T2& a) { return {name(a.x), name(a.y)}; }
#define FMS_CPU_BINARY(name, name2, expression)                                            \
  FMS_CPU_FN FMS_CPU_T name(const FMS_CPU_T& a, const FMS_CPU_T& b) { return expression; } \
  FMS_CPU_FN FMS_CPU_T2 name2(const FMS_CPU_T2& a, const FMS_CPU_T2& b) {                  \
    return {name(a.x, b.x), name(a.y, b.y)};                                               \
  }
#define FMS_CPU_TERNARY(name, name2, expression)                                               \
  FMS_CPU_FN FMS_CPU_T name(const FMS_CPU_T& a, const FMS_CPU_T& b, const FMS_CPU_T& c) {      \
    return expression;                                                                         \
  }                                                                                            \
  FMS_CPU_FN FMS_CPU_T2 name2(const FMS_CPU_T2& a, const FMS_CPU_T2& b, const FMS_CPU_T2& c) { \
    return {name(a.x, b.x, c.x), name(a.y, b.y, c.y)};                                         \
  }

FMS_CPU_FN FMS_CPU_T fms_cpu_saturated(const FMS_CPU_T& a) { return __saturatef(a); }
FMS_CPU_FN FMS_CPU_T fms_cpu_not_negative(const FMS_CPU_T& a) {
  return float(a) < 0.0f ? FMS_CPU_T(0.0f) : a;
}
FMS_CPU_BINARY(__hadd, __hadd2, a + b)
FMS_CPU_BINARY(__hsub, __hsub2, a - b)
FMS_CPU_BINARY(__hmul, __hmul2, a* b)
FMS_CPU_BINARY(__hdiv, __h2div, a / b)
FMS_CPU_BINARY(__hadd_rn, __hadd2_rn, a + b)
FMS_CPU_BINARY(__hsub_rn, __hsub2_rn, a - b)
FMS_CPU_BINARY(__hmul_rn, __hmul2_rn, a* b)
FMS_CPU_BINARY(__hadd_sat, __hadd2_sat, fms_cpu_saturated(a + b))
FMS_CPU_BINARY(__hsub_sat, __hsub2_sat, fms_cpu_saturated(a - b))
FMS_CPU_BINARY(__hmul_sat, __hmul2_sat, fms_cpu_saturated(a* b))
FMS_CPU_TERNARY(__hfma, __hfma2, fms_cpu_round_to_odd(fms_cpu_fma_to_odd(a, b, c)))
FMS_CPU_TERNARY(__hfma_sat, __hfma2_sat, fms_cpu_saturated(__hfma(a, b, c)))
FMS_CPU_TERNARY(__hfma_relu, __hfma2_relu, fms_cpu_not_negative(__hfma(a, b, c)))
FMS_CPU_UNARY(__hneg, __hneg2, -a)
FMS_CPU_UNARY(__habs, __habs2, (FMS_CPU_RAW{static_cast<unsigned short>(a.__x & 0x7fff)}))

// a * b + c for complex numbers (x, y).
FMS_CPU_FN FMS_CPU_T2 __hcmadd(const FMS_CPU_T2& a, const FMS_CPU_T2& b, const FMS_CPU_T2& c) {
  return {__hfma(-a.y, b.y, __hfma(a.x, b.x, c.x)), __hfma(a.y, b.x, __hfma(a.x, b.y, c.y))};
}

// The larger and the smaller: a number rather than NaN, or, where the name says so, NaN. 0 is
// larger than -0.
FMS_CPU_FN FMS_CPU_T fms_cpu_nan(FMS_CPU_T) { return __builtin_nanf(""); }
FMS_CPU_FN bool __hisnan(const FMS_CPU_T& a) { return float(a) != float(a); }
FMS_CPU_FN bool fms_cpu_less(const FMS_CPU_T& a, const FMS_CPU_T& b) {
  return a < b || (a == b && a.__x > b.__x);
}
FMS_CPU_BINARY(__hmax, __hmax2,
               __hisnan(a)          ? (__hisnan(b) ? fms_cpu_nan(a) : b)
               : fms_cpu_less(a, b) ? b
                                    : a)
FMS_CPU_BINARY(__hmin, __hmin2,
               __hisnan(a)          ? (__hisnan(b) ? fms_cpu_nan(a) : b)
               : fms_cpu_less(b, a) ? b
                                    : a)
FMS_CPU_BINARY(__hmax_nan, __hmax2_nan, __hisnan(a) || __hisnan(b) ? fms_cpu_nan(a) : __hmax(a, b))
FMS_CPU_BINARY(__hmin_nan, __hmin2_nan, __hisnan(a) || __hisnan(b) ? fms_cpu_nan(a) : __hmin(a, b))

// Comparisons; the u forms hold if one is NaN. Of pairs: 1 or 0 each, all bits or none each
// (_mask), or whether both do (hb).
#define FMS_CPU_COMPARE_ONE(name, u, test)                                                         \
  FMS_CPU_FN bool __h##name##u(const FMS_CPU_T& left, const FMS_CPU_T& right) {                    \
    const float a = left, b = right;                                                               \
    return test;                                                                                   \
  }                                                                                                \
  FMS_CPU_FN FMS_CPU_T2 __h##name##u##2(const FMS_CPU_T2& a, const FMS_CPU_T2& b) {                \
    return {__h##name##u(a.x, b.x) ? 1.0f : 0.0f, __h##name##u(a.y, b.y) ? 1.0f : 0.0f};           \
  }                                                                                                \
  FMS_CPU_FN unsigned __h##name##u##2_mask(const FMS_CPU_T2& a, const FMS_CPU_T2& b) {             \
    return (__h##name##u(a.x, b.x) ? 0xffffu : 0u) | (__h##name##u(a.y, b.y) ? 0xffff'0000u : 0u); \
  }                                                                                                \
  FMS_CPU_FN bool __hb##name##u##2(const FMS_CPU_T2& a, const FMS_CPU_T2& b) {                     \
    return __h##name##u(a.x, b.x) && __h##name##u(a.y, b.y);                                       \
  }
#define FMS_CPU_COMPARE(name, test)                                   \
  FMS_CPU_COMPARE_ONE(name, , (test) && !__builtin_isunordered(a, b)) \
  FMS_CPU_COMPARE_ONE(name, u, (test) || __builtin_isunordered(a, b))
FMS_CPU_COMPARE(eq, a == b)
FMS_CPU_COMPARE(ne, a != b)
FMS_CPU_COMPARE(lt, a < b)
FMS_CPU_COMPARE(gt, a > b)
FMS_CPU_COMPARE(le, a <= b)
FMS_CPU_COMPARE(ge, a >= b)
#undef FMS_CPU_COMPARE
#undef FMS_CPU_COMPARE_ONE

FMS_CPU_FN FMS_CPU_T2 __hisnan2(const FMS_CPU_T2& a) {
  return {__hisnan(a.x) ? 1.0f : 0.0f, __hisnan(a.y) ? 1.0f : 0.0f};
}
// 1, or -1 for -inf.
FMS_CPU_FN int __hisinf(const FMS_CPU_T& a) {
  return __builtin_isinf(float(a)) ? (a.__x >> 15 ? -1 : 1) : 0;
}

#define FMS_CPU_MATH(name, expression) FMS_CPU_UNARY(h##name, h2##name, expression)
FMS_CPU_MATH(ceil, ceilf(a))
FMS_CPU_MATH(cos, cosf(a))
FMS_CPU_MATH(exp, expf(a))
FMS_CPU_MATH(exp10, exp10f(a))
FMS_CPU_MATH(exp2, exp2f(a))
FMS_CPU_MATH(floor, floorf(a))
FMS_CPU_MATH(log, logf(a))
FMS_CPU_MATH(log10, log10f(a))
FMS_CPU_MATH(log2, log2f(a))
FMS_CPU_MATH(rcp, 1.0f / float(a))
FMS_CPU_MATH(rint, rintf(a))
FMS_CPU_MATH(rsqrt, rsqrtf(a))
FMS_CPU_MATH(sin, sinf(a))
FMS_CPU_MATH(sqrt, sqrtf(a))
FMS_CPU_MATH(tanh, tanhf(a))
FMS_CPU_MATH(tanh_approx, tanhf(a))
FMS_CPU_MATH(trunc, truncf(a))
#undef FMS_CPU_MATH
#undef FMS_CPU_TERNARY
#undef FMS_CPU_BINARY
#undef FMS_CPU_UNARY

// CUDA's overloads for float and double take a 16-bit float as float.
#define FMS_CPU_OVERLOAD(name) \
  FMS_CPU_FN float name(const FMS_CPU_T& x) { return name##f(x); }
FMS_CPU_FUNCTIONS_1(FMS_CPU_OVERLOAD)
#undef FMS_CPU_OVERLOAD
#define FMS_CPU_OVERLOAD(name)                                                    \
  FMS_CPU_FN float name(const FMS_CPU_T& x, float y) { return f##name##f(x, y); } \
  FMS_CPU_FN float name(float x, const FMS_CPU_T& y) { return f##name##f(x, y); }
FMS_CPU_OVERLOAD(min)
FMS_CPU_OVERLOAD(max)
#undef FMS_CPU_OVERLOAD

FMS_CPU_BITS(FMS_CPU_T, unsigned short)
FMS_CPU_SHUFFLE(FMS_CPU_T)
FMS_CPU_BITS(FMS_CPU_T2, unsigned)
FMS_CPU_SHUFFLE(FMS_CPU_T2)

// Both elements of a pair at once, which is more than CUDA promises.
FMS_CPU_FN FMS_CPU_T fms_cpu_atomic_add(FMS_CPU_T* address, FMS_CPU_T value, int) {
  const unsigned short old = fms_cpu_atomic_update(
      reinterpret_cast<unsigned short*>(address),
      [value](unsigned short bits) { return (FMS_CPU_T(FMS_CPU_RAW{bits}) + value).__x; });
  return FMS_CPU_RAW{old};
}
FMS_CPU_FN FMS_CPU_T2 fms_cpu_atomic_add(FMS_CPU_T2* address, FMS_CPU_T2 value, int) {
  const unsigned old =
      fms_cpu_atomic_update(reinterpret_cast<unsigned*>(address), [value](unsigned bits) {
        return __builtin_bit_cast(unsigned, __builtin_bit_cast(FMS_CPU_T2, bits) + value);
      });
  return __builtin_bit_cast(FMS_CPU_T2, old);
}
FMS_CPU_ATOMIC(atomicAdd, FMS_CPU_T, fms_cpu_atomic_add)
FMS_CPU_ATOMIC(atomicAdd, FMS_CPU_T2, fms_cpu_atomic_add)

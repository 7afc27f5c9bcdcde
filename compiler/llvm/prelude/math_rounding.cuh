#ifndef FMS_CPU_MATH_ROUNDING_CUH_
#define FMS_CPU_MATH_ROUNDING_CUH_

// Arithmetic that says how it rounds, none of which is ever contracted, and the fast forms of
// functions, which here are as good as the others.

#pragma clang system_header

#define FMS_CPU_ROUNDED_2(T, name, expression) \
  FMS_CPU_FN T name(T a, T b) { _Pragma("clang fp contract(off)") return expression; }
#define FMS_CPU_ROUNDED_1(T, name, expression) \
  FMS_CPU_FN T name(T a) { _Pragma("clang fp contract(off)") return expression; }
FMS_CPU_ROUNDED_2(float, __fadd_rn, a + b)
FMS_CPU_ROUNDED_2(float, __fsub_rn, a - b)
FMS_CPU_ROUNDED_2(float, __fmul_rn, a* b)
FMS_CPU_ROUNDED_2(float, __fdiv_rn, a / b)
FMS_CPU_ROUNDED_2(double, __dadd_rn, a + b)
FMS_CPU_ROUNDED_2(double, __dsub_rn, a - b)
FMS_CPU_ROUNDED_2(double, __dmul_rn, a* b)
FMS_CPU_ROUNDED_2(double, __ddiv_rn, a / b)
FMS_CPU_ROUNDED_1(float, __frcp_rn, 1.0f / a)
FMS_CPU_ROUNDED_1(float, __fsqrt_rn, __builtin_sqrtf(a))
FMS_CPU_ROUNDED_1(float, __frsqrt_rn, float(1.0 / __builtin_sqrt(double(a))))
FMS_CPU_ROUNDED_1(double, __drcp_rn, 1.0 / a)
FMS_CPU_ROUNDED_1(double, __dsqrt_rn, __builtin_sqrt(a))
#undef FMS_CPU_ROUNDED_1
#undef FMS_CPU_ROUNDED_2
FMS_CPU_FN float __fmaf_rn(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
FMS_CPU_FN float __fmaf_ieee_rn(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
FMS_CPU_FN double __fma_rn(double a, double b, double c) { return __builtin_fma(a, b, c); }

// The other roundings of floats, from doubles that are exact, rounded to odd, or quotients and
// roots, which are no nearer to a float than a double can tell unless they are one. Those of
// doubles are missing: none is exact in a wider type.
#define FMS_CPU_DIRECTED(rounding)                                                                \
  FMS_CPU_FN float __fmaf_##rounding(float a, float b, float c) {                                 \
    return __double2float_##rounding(fms_cpu_fma_to_odd(a, b, c));                                \
  }                                                                                               \
  FMS_CPU_FN float __fadd_##rounding(float a, float b) { return __fmaf_##rounding(a, 1.0f, b); }  \
  FMS_CPU_FN float __fsub_##rounding(float a, float b) { return __fmaf_##rounding(a, 1.0f, -b); } \
  FMS_CPU_FN float __fmul_##rounding(float a, float b) {                                          \
    return __double2float_##rounding(double(a) * double(b));                                      \
  }                                                                                               \
  FMS_CPU_FN float __fdiv_##rounding(float a, float b) {                                          \
    return __double2float_##rounding(double(a) / double(b));                                      \
  }                                                                                               \
  FMS_CPU_FN float __frcp_##rounding(float a) {                                                   \
    return __double2float_##rounding(1.0 / double(a));                                            \
  }                                                                                               \
  FMS_CPU_FN float __fsqrt_##rounding(float a) {                                                  \
    return __double2float_##rounding(__builtin_sqrt(double(a)));                                  \
  }                                                                                               \
  FMS_CPU_FN float __int2float_##rounding(int a) { return __double2float_##rounding(double(a)); } \
  FMS_CPU_FN float __uint2float_##rounding(unsigned a) {                                          \
    return __double2float_##rounding(double(a));                                                  \
  }                                                                                               \
  FMS_CPU_FN float __ll2float_##rounding(long long a) {                                           \
    return __double2float_##rounding(fms_cpu_integer_to_odd(a));                                  \
  }                                                                                               \
  FMS_CPU_FN float __ull2float_##rounding(unsigned long long a) {                                 \
    return __double2float_##rounding(fms_cpu_integer_to_odd(a));                                  \
  }
FMS_CPU_DIRECTED(rz)
FMS_CPU_DIRECTED(ru)
FMS_CPU_DIRECTED(rd)
#undef FMS_CPU_DIRECTED

FMS_CPU_FN float __fdividef(float a, float b) { return a / b; }
FMS_CPU_FN float fdividef(float a, float b) { return a / b; }
FMS_CPU_FN double fdivide(double a, double b) { return a / b; }
FMS_CPU_FN float fdivide(float a, float b) { return a / b; }
FMS_CPU_FN float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }

FMS_CPU_FN float __expf(float x) { return fms_cpu_exp2(x * 0x1.715476p0f); }
FMS_CPU_FN float __exp10f(float x) { return fms_cpu_exp2(x * 0x1.a934fp1f); }
FMS_CPU_FN float __logf(float x) { return logf(x); }
FMS_CPU_FN float __log2f(float x) { return log2f(x); }
FMS_CPU_FN float __log10f(float x) { return log10f(x); }
FMS_CPU_FN float __powf(float x, float y) { return fms_cpu_exp2(y * log2f(x)); }
FMS_CPU_FN float __sinf(float x) { return sinf(x); }
FMS_CPU_FN float __cosf(float x) { return cosf(x); }
FMS_CPU_FN float __tanf(float x) { return tanf(x); }
FMS_CPU_FN float __tanhf(float x) { return tanhf(x); }
FMS_CPU_FN void __sincosf(float x, float* sine, float* cosine) { sincosf(x, sine, cosine); }

#endif  // FMS_CPU_MATH_ROUNDING_CUH_

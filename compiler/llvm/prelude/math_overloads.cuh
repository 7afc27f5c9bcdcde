#ifndef FMS_CPU_MATH_OVERLOADS_CUH_
#define FMS_CPU_MATH_OVERLOADS_CUH_

// C++'s overloads for float of what has a name ending in f, and the functions that have no such
// name.

#pragma clang system_header

// Functions of one and of two floats. Lists, since the 16-bit types have the same overloads.
// clang-format off
#define FMS_CPU_FUNCTIONS_1(X) \
  X(acos) X(acosh) X(asin) X(asinh) X(atan) X(atanh) X(cbrt) X(ceil) X(cos) X(cosh) X(cospi) \
  X(erf) X(erfc) X(erfcinv) X(erfcx) X(erfinv) X(exp) X(exp10) X(exp2) X(expm1) X(fabs) \
  X(floor) X(lgamma) X(log) X(log10) X(log1p) X(log2) X(logb) X(nearbyint) X(normcdf) \
  X(normcdfinv) X(rcbrt) X(rint) X(round) X(rsqrt) X(sin) X(sinh) X(sinpi) X(sqrt) X(tan) \
  X(tanh) X(tgamma) X(trunc)
#define FMS_CPU_FUNCTIONS_2(X) \
  X(atan2) X(copysign) X(fdim) X(fmax) X(fmin) X(fmod) X(hypot) X(nextafter) X(pow) \
  X(remainder) X(rhypot)
// clang-format on
#define FMS_CPU_OVERLOAD(name) \
  FMS_CPU_FN float name(float x) { return name##f(x); }
FMS_CPU_FUNCTIONS_1(FMS_CPU_OVERLOAD)
#undef FMS_CPU_OVERLOAD
#define FMS_CPU_OVERLOAD(name) \
  FMS_CPU_FN float name(float x, float y) { return name##f(x, y); }
FMS_CPU_FUNCTIONS_2(FMS_CPU_OVERLOAD)
#undef FMS_CPU_OVERLOAD

FMS_CPU_FN float fma(float a, float b, float c) { return fmaf(a, b, c); }
FMS_CPU_FN float pow(float x, int n) { return powf(x, float(n)); }
FMS_CPU_FN double pow(double x, int n) { return pow(x, double(n)); }
FMS_CPU_FN float frexp(float x, int* exponent) { return frexpf(x, exponent); }
FMS_CPU_FN float ldexp(float x, int n) { return ldexpf(x, n); }
FMS_CPU_FN float scalbn(float x, int n) { return scalbnf(x, n); }
FMS_CPU_FN float scalbln(float x, long n) { return scalblnf(x, n); }
FMS_CPU_FN float modf(float x, float* whole) { return modff(x, whole); }
FMS_CPU_FN float remquo(float x, float y, int* quotient) { return remquof(x, y, quotient); }
FMS_CPU_FN int ilogb(float x) { return ilogbf(x); }
FMS_CPU_FN long lrint(float x) { return lrintf(x); }
FMS_CPU_FN long long llrint(float x) { return llrintf(x); }
FMS_CPU_FN long lround(float x) { return lroundf(x); }
FMS_CPU_FN long long llround(float x) { return llroundf(x); }
FMS_CPU_FN void sincos(float x, float* sine, float* cosine) { sincosf(x, sine, cosine); }
FMS_CPU_FN void sincospi(float x, float* sine, float* cosine) { sincospif(x, sine, cosine); }

FMS_CPU_FN float abs(float x) { return __builtin_fabsf(x); }
FMS_CPU_FN double abs(double x) { return __builtin_fabs(x); }
FMS_CPU_FN float min(float x, float y) { return __builtin_fminf(x, y); }
FMS_CPU_FN float max(float x, float y) { return __builtin_fmaxf(x, y); }
FMS_CPU_FN double min(double x, double y) { return __builtin_fmin(x, y); }
FMS_CPU_FN double max(double x, double y) { return __builtin_fmax(x, y); }
FMS_CPU_FN double min(float x, double y) { return __builtin_fmin(double(x), y); }
FMS_CPU_FN double max(float x, double y) { return __builtin_fmax(double(x), y); }
FMS_CPU_FN double min(double x, float y) { return __builtin_fmin(x, double(y)); }
FMS_CPU_FN double max(double x, float y) { return __builtin_fmax(x, double(y)); }

#define FMS_CPU_CLASSIFY(T)                                       \
  FMS_CPU_FN bool isnan(T x) { return __builtin_isnan(x); }       \
  FMS_CPU_FN bool isinf(T x) { return __builtin_isinf(x); }       \
  FMS_CPU_FN bool isfinite(T x) { return __builtin_isfinite(x); } \
  FMS_CPU_FN bool isnormal(T x) { return __builtin_isnormal(x); } \
  FMS_CPU_FN bool signbit(T x) { return __builtin_signbit(x); }
FMS_CPU_CLASSIFY(float)
FMS_CPU_CLASSIFY(double)
#undef FMS_CPU_CLASSIFY
FMS_CPU_FN int __isnanf(float x) { return isnan(x); }
FMS_CPU_FN int __isinff(float x) { return isinf(x); }
FMS_CPU_FN int __finitef(float x) { return isfinite(x); }
FMS_CPU_FN int __signbitf(float x) { return signbit(x); }

#endif  // FMS_CPU_MATH_OVERLOADS_CUH_

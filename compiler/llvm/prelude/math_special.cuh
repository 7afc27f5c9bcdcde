#ifndef FMS_CPU_MATH_SPECIAL_CUH_
#define FMS_CPU_MATH_SPECIAL_CUH_

// Special functions that libm lacks. Those of floats are those of doubles, rounded.

#pragma clang system_header

// y >= 0 with erf(y) = x, where z = 1 - x, each as exact as a double. An approximation by
// elementary functions to 0.2 %, then three steps by Halley, which triple the digits each.
FMS_CPU_FN double fms_cpu_erf_inverse(double x, double z) {
  constexpr double kA = 0.147;
  constexpr double kTwoBySqrtPi = 0x1.20dd750429b6dp0;
  const double log_product = log(z * (1.0 + x));
  const double half = 0x1.45f306dc9c883p-1 / kA + 0.5 * log_product;
  double y = __builtin_sqrt(__builtin_sqrt(half * half - log_product / kA) - half);
#pragma unroll
  for (int i = 0; i < 3; ++i) {
    // Near 0 and near 1 only one of the two is exact.
    const double wrong = x < 0.5 ? erf(y) - x : z - erfc(y);
    const double step = wrong / (kTwoBySqrtPi * exp(-y * y));
    y -= step / (1.0 + y * step);
  }
  return x > 0.0 ? y : x;
}
FMS_CPU_FN double erfinv(double x) {
  const double magnitude = __builtin_fabs(x);
  const double y = fms_cpu_erf_inverse(magnitude, 1.0 - magnitude);
  return __builtin_copysign(magnitude == 1.0 ? __builtin_inf() : y, x);
}
FMS_CPU_FN double erfcinv(double z) {
  const double upper = z > 1.0 ? 2.0 - z : z;
  const double y = fms_cpu_erf_inverse(1.0 - upper, upper);
  return __builtin_copysign(upper == 0.0 ? __builtin_inf() : y, 1.0 - z);
}
FMS_CPU_FN double normcdf(double x) { return 0.5 * erfc(x * -0x1.6a09e667f3bcdp-1); }
FMS_CPU_FN double normcdfinv(double x) { return 0.0 - 0x1.6a09e667f3bcdp0 * erfcinv(x + x); }

// exp(x^2) erfc(x), the square with its rounding error; past 26, where erfc leaves the range of
// doubles, the first terms of the asymptotic series.
FMS_CPU_FN double erfcx(double x) {
  const double square = x * x;
  const double product = exp(square) * (1.0 + __builtin_fma(x, x, -square)) * erfc(x);
  const double r = 1.0 / square;
  double series = r * 162.421875 - 29.53125;
  series = r * series + 6.5625;
  series = r * series - 1.875;
  series = r * series + 0.75;
  series = r * series - 0.5;
  series = (r * series + 1.0) / x;
  return x < 26.0 ? product : series * 0x1.20dd750429b6dp-1;
}

#define FMS_CPU_SPECIAL(name) \
  FMS_CPU_FN float name##f(float x) { return float(name(double(x))); }
FMS_CPU_SPECIAL(erfinv)
FMS_CPU_SPECIAL(erfcinv)
FMS_CPU_SPECIAL(erfcx)
FMS_CPU_SPECIAL(normcdf)
FMS_CPU_SPECIAL(normcdfinv)
#undef FMS_CPU_SPECIAL

// sin and cos of pi * x: x is q half units, q = rint(2 x), and a rest of at most a quarter, both
// exact. A number of `limit` or more is an even integer. `which` 0: sine, 1: cosine.
#define FMS_CPU_PI(T, suffix, limit)                                          \
  FMS_CPU_FN T fms_cpu_sin_pi(T x, int which) {                               \
    x = __builtin_fabs##suffix(x) < limit ? x : x * T(0);                     \
    const T halves = __builtin_rint##suffix(x + x);                           \
    const double rest = double(x - T(0.5) * halves) * 0x1.921fb54442d18p1;    \
    const T turn = halves - T(4) * __builtin_floor##suffix(halves * T(0.25)); \
    const int q = (turn >= T(0) ? int(turn) : 0) + which;                     \
    const T value = T(q & 1 ? __builtin_cos(rest) : __builtin_sin(rest));     \
    return q & 2 ? -value : value;                                            \
  }                                                                           \
  FMS_CPU_FN T sinpi##suffix(T x) { return fms_cpu_sin_pi(x, 0); }            \
  FMS_CPU_FN T cospi##suffix(T x) { return fms_cpu_sin_pi(x, 1); }            \
  FMS_CPU_FN void sincospi##suffix(T x, T* sine, T* cosine) {                 \
    *sine = fms_cpu_sin_pi(x, 0);                                             \
    *cosine = fms_cpu_sin_pi(x, 1);                                           \
  }
FMS_CPU_PI(float, f, 0x1p24f)
FMS_CPU_PI(double, , 0x1p53)
#undef FMS_CPU_PI

#define FMS_CPU_EXTRA(T, suffix)                                                               \
  FMS_CPU_FN T rsqrt##suffix(T x) { return T(1) / __builtin_sqrt##suffix(x); }                 \
  FMS_CPU_FN T rcbrt##suffix(T x) { return T(1) / cbrt##suffix(x); }                           \
  FMS_CPU_FN T rhypot##suffix(T x, T y) { return T(1) / hypot##suffix(x, y); }                 \
  FMS_CPU_FN T norm3d##suffix(T x, T y, T z) { return hypot##suffix(hypot##suffix(x, y), z); } \
  FMS_CPU_FN T norm4d##suffix(T x, T y, T z, T w) {                                            \
    return hypot##suffix(hypot##suffix(x, y), hypot##suffix(z, w));                            \
  }                                                                                            \
  FMS_CPU_FN T rnorm3d##suffix(T x, T y, T z) { return T(1) / norm3d##suffix(x, y, z); }       \
  FMS_CPU_FN T rnorm4d##suffix(T x, T y, T z, T w) { return T(1) / norm4d##suffix(x, y, z, w); }
FMS_CPU_EXTRA(float, f)
FMS_CPU_EXTRA(double, )
#undef FMS_CPU_EXTRA

// The length of a vector of any dimension, and its reciprocal.
FMS_CPU_FN double norm(int dimension, const double* x) {
  double length = 0.0;
  for (int i = 0; i < dimension; ++i) length = hypot(length, x[i]);
  return length;
}
FMS_CPU_FN float normf(int dimension, const float* x) {
  double sum = 0.0;
  for (int i = 0; i < dimension; ++i) sum += double(x[i]) * double(x[i]);
  return float(__builtin_sqrt(sum));
}
FMS_CPU_FN double rnorm(int dimension, const double* x) { return 1.0 / norm(dimension, x); }
FMS_CPU_FN float rnormf(int dimension, const float* x) { return 1.0f / normf(dimension, x); }

#endif  // FMS_CPU_MATH_SPECIAL_CUH_

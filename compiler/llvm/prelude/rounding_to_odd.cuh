#ifndef FMS_CPU_ROUNDING_TO_ODD_CUH_
#define FMS_CPU_ROUNDING_TO_ODD_CUH_

// Results on their way to a narrower type: rounded to odd, to a number whose last bit is set unless
// it is exact, which leaves the rounding that follows all it has to know, in any direction.

#pragma clang system_header

// `x` as a float, rounded to odd.
FMS_CPU_FN float fms_cpu_round_to_odd(double x) {
  const float nearest = float(x);
  const double wrong = double(nearest);
  const unsigned bits = __float_as_uint(nearest);
  const unsigned toward = __builtin_fabs(wrong) < __builtin_fabs(x) ? bits + 1 : bits - 1;
  const bool inexact = wrong < x || wrong > x;
  return __uint_as_float(inexact && (bits & 1) == 0 ? toward : bits);
}

// a * b + c as a double, rounded to odd.
FMS_CPU_FN double fms_cpu_fma_to_odd(float a, float b, float c) {
#pragma clang fp contract(off)
  const double product = double(a) * double(b);  // exact
  const double sum = product + double(c);
  // What the sum has lost, exactly (Knuth's two-sum); NaN if the sum is no number.
  const double part = sum - product;
  const double lost = (product - (sum - part)) + (double(c) - part);
  const fms_cpu_s64 bits = __double_as_longlong(sum);
  const fms_cpu_s64 toward = (lost > 0.0) == (sum > 0.0) ? bits + 1 : bits - 1;
  const bool inexact = lost > 0.0 || lost < 0.0;
  return __longlong_as_double(inexact && (bits & 1) == 0 ? toward : bits);
}

// An integer as a double that rounds to 16 bits as the integer does.
FMS_CPU_FN double fms_cpu_integer_to_odd(fms_cpu_s64 x) {
  const fms_cpu_s64 short_of = (x & ~0x7ffll) | ((x & 0x7ff) != 0 ? 0x800 : 0);
  return double(x < 1ll << 53 && x > -(1ll << 53) ? x : short_of);
}
FMS_CPU_FN double fms_cpu_integer_to_odd(fms_cpu_u64 x) {
  const fms_cpu_u64 short_of = (x & ~0x7ffull) | ((x & 0x7ff) != 0 ? 0x800 : 0);
  return double(x < 1ull << 53 ? x : short_of);
}

// A double as the float next to it towards 0, up or down: the nearest, or one step from it where
// that lies on the wrong side.
FMS_CPU_FN float fms_cpu_step(float x, bool step, int by) {
  return __uint_as_float(step ? __float_as_uint(x) + unsigned(by) : __float_as_uint(x));
}
FMS_CPU_FN float __double2float_rz(double x) {
  const float y = float(x);
  return fms_cpu_step(y, __builtin_fabs(double(y)) > __builtin_fabs(x), -1);
}
FMS_CPU_FN float __double2float_ru(double x) {
  const float y = float(x);
  return fms_cpu_step(y, double(y) < x, __builtin_signbit(y) ? -1 : 1);
}
FMS_CPU_FN float __double2float_rd(double x) {
  const float y = float(x);
  return fms_cpu_step(y, double(y) > x, __builtin_signbit(y) ? 1 : -1);
}

#endif  // FMS_CPU_ROUNDING_TO_ODD_CUH_

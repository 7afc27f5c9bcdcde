#ifndef FMS_CPU_MATH_EXPONENTIAL_CUH_
#define FMS_CPU_MATH_EXPONENTIAL_CUH_

// Exponentials and logarithms of floats, without a branch and without a call, so that a loop over
// the threads of a block does several at a time. At most 2 ulp; the polynomials are minimax fits.
//
// Products and sums in one expression become one fma where the target has it. Where it has not,
// the error stays below 2 ulp too.

#pragma clang system_header

FMS_CPU_FN float fms_cpu_float(unsigned bits) { return __builtin_bit_cast(float, bits); }
FMS_CPU_FN unsigned fms_cpu_word(float value) { return __builtin_bit_cast(unsigned, value); }

// The nearest integer to a float of magnitude below 2^22, as a float and in the low bits of `bits`.
// Adding 1.5 * 2^23 leaves no room for a fraction. For all other floats any integer, but no trap.
struct fms_cpu_rounded {
  float value;
  unsigned bits;
};
FMS_CPU_FN fms_cpu_rounded fms_cpu_round(float x) {
  const float shifted = x + 0x1.8p23f;
  return {shifted - 0x1.8p23f, fms_cpu_word(shifted)};
}

// 2^x for |x| <= 1/2.
FMS_CPU_FN float fms_cpu_exp2_fraction(float x) {
  float p = 0x1.470bd8p-13f;
  p = p * x + 0x1.5f72aap-10f;
  p = p * x + 0x1.3b270ep-7f;
  p = p * x + 0x1.c6ae72p-5f;
  p = p * x + 0x1.ebfbe2p-3f;
  p = p * x + 0x1.62e432p-1f;
  return p * x + 1.0f;
}

// value * 2^n by two steps, for -280 < n < 256: only the second can leave the range of floats,
// and rounds as it should.
FMS_CPU_FN float fms_cpu_scale(float value, int n) {
  const int half = n >> 1;
  return value * fms_cpu_float(unsigned(half + 127) << 23) *
         fms_cpu_float(unsigned(n - half + 127) << 23);
}

// `x` within bounds; NaN stays.
FMS_CPU_FN float fms_cpu_clamp(float x, float low, float high) {
  x = low > x ? low : x;
  return high < x ? high : x;
}

// 2^x where subnormal results are 0: what ex2.approx.ftz.f32 is to a GPU.
FMS_CPU_FN float fms_cpu_exp2(float x) {
  const fms_cpu_rounded n = fms_cpu_round(x);
  const float p = fms_cpu_exp2_fraction(x - n.value);
  // n is added to the exponent: the constant in bits has none of its low 9 set.
  float y = fms_cpu_float(fms_cpu_word(p) + (n.bits << 23));
  y = x < -126.0f ? 0.0f : y;
  return x < 128.0f ? y : x * __builtin_inff();  // NaN too
}

FMS_CPU_FN float exp2f(float x) {
  x = fms_cpu_clamp(x, -152.0f, 129.0f);
  const fms_cpu_rounded n = fms_cpu_round(x);
  return fms_cpu_scale(fms_cpu_exp2_fraction(x - n.value), int(n.bits - 0x4b40'0000u));
}

// e^(high + low) for a sum of at most ln(2) / 2.
FMS_CPU_FN float fms_cpu_exp_fraction(float x) {
  float p = 0x1.6a23eap-10f;
  p = p * x + 0x1.123a0ap-7f;
  p = p * x + 0x1.5558f2p-5f;
  p = p * x + 0x1.555492p-3f;
  p = p * x + 0x1.fffffcp-2f;
  return (p * x * x + x) + 1.0f;
}

FMS_CPU_FN float expf(float x) {
  x = fms_cpu_clamp(x, -105.0f, 89.0f);
  const fms_cpu_rounded n = fms_cpu_round(x * 0x1.715476p0f);
  // ln(2) in two parts, of which the first has 15 bits: its product with n is exact.
  const float high = x - n.value * 0x1.62e4p-1f;
  const float rest = high - n.value * 0x1.7f7d1cp-20f;
  return fms_cpu_scale(fms_cpu_exp_fraction(rest), int(n.bits - 0x4b40'0000u));
}

FMS_CPU_FN float exp10f(float x) {
  x = fms_cpu_clamp(x, -46.0f, 39.0f);
  const fms_cpu_rounded n = fms_cpu_round(x * 0x1.a934fp1f);
  // log10(2) in two parts, the same way; the rest is in units of ln(10).
  const float high = x - n.value * 0x1.344p-2f;
  const float rest = high - n.value * 0x1.3509f8p-18f;
  return fms_cpu_scale(fms_cpu_exp_fraction(rest * 0x1.26bb1cp1f), int(n.bits - 0x4b40'0000u));
}

// A positive float as (1 + fraction) * 2^exponent with 1 + fraction from sqrt(1/2) to sqrt(2), and
// tail: ln(1 + fraction) = fraction + tail.
struct fms_cpu_logarithm {
  float exponent, fraction, tail;
};
FMS_CPU_FN fms_cpu_logarithm fms_cpu_log(float x) {
  const bool subnormal = x < 0x1p-126f;
  const unsigned bits = fms_cpu_word(subnormal ? x * 0x1p23f : x);
  const int exponent = int(bits - 0x3f35'04f3u) >> 23;
  const float f = fms_cpu_float(bits - (unsigned(exponent) << 23)) - 1.0f;
  float p = -0x1.38be80p-4f;
  p = p * f + 0x1.056398p-3f;
  p = p * f - 0x1.0d877ap-3f;
  p = p * f + 0x1.22d932p-3f;
  p = p * f - 0x1.5471f6p-3f;
  p = p * f + 0x1.99a010p-3f;
  p = p * f - 0x1.000228p-2f;
  p = p * f + 0x1.555554p-2f;
  const float square = f * f;
  return {float(exponent - (subnormal ? 23 : 0)), f, p * f * square - 0.5f * square};
}

// The logarithm of what has none of its own: -inf for 0, NaN for less and for NaN, inf for inf.
FMS_CPU_FN float fms_cpu_log_result(float x, float logarithm) {
  const float infinity = __builtin_inff();
  logarithm = x == infinity ? infinity : logarithm;
  return x > 0.0f ? logarithm : (x == 0.0f ? -infinity : __builtin_nanf(""));
}

FMS_CPU_FN float logf(float x) {
  const fms_cpu_logarithm l = fms_cpu_log(x);
  const float low = l.exponent * 0x1.7f7d1cp-20f + l.tail;
  return fms_cpu_log_result(x, l.exponent * 0x1.62e4p-1f + (l.fraction + low));
}

FMS_CPU_FN float log2f(float x) {
  const fms_cpu_logarithm l = fms_cpu_log(x);
  // log2(e) - 1, so that the largest term is exact.
  const float low = l.tail * 0x1.c551dap-2f + l.fraction * 0x1.c551dap-2f + l.tail;
  return fms_cpu_log_result(x, l.exponent + (l.fraction + low));
}

FMS_CPU_FN float log10f(float x) {
  const fms_cpu_logarithm l = fms_cpu_log(x);
  // log10(e) and log10(2), each in two parts.
  float low = l.tail * 0x1.bcb7b2p-2f + l.fraction * 0x1.bd8a94p-13f;
  low = l.exponent * 0x1.3509f8p-18f + low;
  return fms_cpu_log_result(x, l.exponent * 0x1.344p-2f + (l.fraction * 0x1.bc8p-2f + low));
}

#endif  // FMS_CPU_MATH_EXPONENTIAL_CUH_

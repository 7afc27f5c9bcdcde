#ifndef FMS_CPU_FLOAT16_CUH_
#define FMS_CPU_FLOAT16_CUH_

// Arithmetic that __half and __nv_bfloat16 share.
//
// A sum, difference, product, quotient or root of 16-bit floats is computed as a float and then
// rounded: a float has more than twice their bits, so that the second rounding changes nothing. An
// fma, a double or a large integer is first rounded to odd.

#pragma clang system_header

// An integer within the bounds of a narrower type.
template <typename Narrow, typename Wide>
FMS_CPU_FN Narrow fms_cpu_clamped(Wide x) {
  if constexpr (sizeof(Narrow) < sizeof(Wide)) {
    constexpr int kBits = 8 * sizeof(Narrow);
    constexpr bool kSigned = Narrow(-1) < Narrow(0);
    constexpr Wide kMax = (Wide(1) << (kSigned ? kBits - 1 : kBits)) - 1;
    constexpr Wide kMin = kSigned ? -kMax - 1 : 0;
    x = x < kMin ? kMin : x;
    x = x > kMax ? kMax : x;
  }
  return static_cast<Narrow>(x);
}

template <typename T, bool = __is_arithmetic(T)>
struct fms_cpu_if_arithmetic {};
template <typename T>
struct fms_cpu_if_arithmetic<T, true> {
  using type = T;
};

// A number as a float that rounds to 16 bits as the number does.
template <typename From>
FMS_CPU_FN float fms_cpu_float_to_odd(From x) {
  if constexpr (sizeof(From) < 4 || __is_same(From, float)) {
    return float(x);
  } else if constexpr (sizeof(From) == 4 || __is_floating_point(From)) {
    return fms_cpu_round_to_odd(double(x));
  } else if constexpr (From(-1) < From(0)) {
    return fms_cpu_round_to_odd(fms_cpu_integer_to_odd(fms_cpu_s64(x)));
  } else {
    return fms_cpu_round_to_odd(fms_cpu_integer_to_odd(fms_cpu_u64(x)));
  }
}

// A float as another type: towards 0, within its bounds.
template <typename To>
FMS_CPU_FN To fms_cpu_from_float(float x) {
  if constexpr (__is_floating_point(To)) {
    return x;
  } else if constexpr (__is_same(To, bool)) {
    return x != 0.0f;
  } else if constexpr (sizeof(To) < 4 || __is_same(To, int)) {
    return fms_cpu_clamped<To>(__float2int_rz(x));
  } else if constexpr (__is_same(To, unsigned)) {
    return __float2uint_rz(x);
  } else if constexpr (To(-1) < To(0)) {
    return __float2ll_rz(x);
  } else {
    return __float2ull_rz(x);
  }
}

#endif  // FMS_CPU_FLOAT16_CUH_

#ifndef FMS_CPU_CONVERSIONS_CUH_
#define FMS_CPU_CONVERSIONS_CUH_

// Conversions between numbers, and between numbers and their bits.

#pragma clang system_header

// To integers as a GPU does it: what is too large becomes the largest, NaN becomes 0. The result
// of a conversion that doesn't fit is never used.
#define FMS_CPU_TO_SIGNED(From, To, limit, max)                             \
  FMS_CPU_FN void fms_cpu_convert(From x, To& to) {                         \
    const To converted = static_cast<To>(x);                                \
    to = x >= limit ? max : x < -limit ? -max - 1 : x != x ? 0 : converted; \
  }
#define FMS_CPU_TO_UNSIGNED(From, To, limit, max)        \
  FMS_CPU_FN void fms_cpu_convert(From x, To& to) {      \
    const To converted = static_cast<To>(x);             \
    to = x >= limit ? max : x > From(0) ? converted : 0; \
  }
FMS_CPU_TO_SIGNED(float, int, 0x1p31f, 0x7fff'ffff)
FMS_CPU_TO_SIGNED(double, int, 0x1p31, 0x7fff'ffff)
FMS_CPU_TO_SIGNED(float, long long, 0x1p63f, 0x7fff'ffff'ffff'ffff)
FMS_CPU_TO_SIGNED(double, long long, 0x1p63, 0x7fff'ffff'ffff'ffff)
FMS_CPU_TO_UNSIGNED(float, unsigned, 0x1p32f, 0xffff'ffffu)
FMS_CPU_TO_UNSIGNED(double, unsigned, 0x1p32, 0xffff'ffffu)
FMS_CPU_TO_UNSIGNED(float, unsigned long long, 0x1p64f, 0xffff'ffff'ffff'ffffu)
FMS_CPU_TO_UNSIGNED(double, unsigned long long, 0x1p64, 0xffff'ffff'ffff'ffffu)
#undef FMS_CPU_TO_UNSIGNED
#undef FMS_CPU_TO_SIGNED

// A GPU's conversion to 64 bits makes NaN 2^63, which code may test for.
FMS_CPU_FN void fms_cpu_convert(float x, long& to) {
  long long wide;
  fms_cpu_convert(x, wide);
  to = wide;
}
FMS_CPU_FN void fms_cpu_convert(double x, long& to) {
  long long wide;
  fms_cpu_convert(x, wide);
  to = wide;
}

#define FMS_CPU_CONVERT(name, From, To, rounded) \
  FMS_CPU_FN To name(From x) {                   \
    To to;                                       \
    fms_cpu_convert(rounded(x), to);             \
    return to;                                   \
  }
#define FMS_CPU_CONVERT_ROUNDINGS(name, From, To, suffix)      \
  FMS_CPU_CONVERT(name##_rn, From, To, __builtin_rint##suffix) \
  FMS_CPU_CONVERT(name##_rz, From, To, )                       \
  FMS_CPU_CONVERT(name##_ru, From, To, __builtin_ceil##suffix) \
  FMS_CPU_CONVERT(name##_rd, From, To, __builtin_floor##suffix)
FMS_CPU_CONVERT_ROUNDINGS(__float2int, float, int, f)
FMS_CPU_CONVERT_ROUNDINGS(__float2uint, float, unsigned, f)
FMS_CPU_CONVERT_ROUNDINGS(__float2ll, float, long long, f)
FMS_CPU_CONVERT_ROUNDINGS(__float2ull, float, unsigned long long, f)
FMS_CPU_CONVERT_ROUNDINGS(__double2int, double, int, )
FMS_CPU_CONVERT_ROUNDINGS(__double2uint, double, unsigned, )
FMS_CPU_CONVERT_ROUNDINGS(__double2ll, double, long long, )
FMS_CPU_CONVERT_ROUNDINGS(__double2ull, double, unsigned long long, )
#undef FMS_CPU_CONVERT_ROUNDINGS

FMS_CPU_CONVERT(lrintf, float, long, __builtin_rintf)
FMS_CPU_CONVERT(lrint, double, long, __builtin_rint)
FMS_CPU_CONVERT(llrintf, float, long long, __builtin_rintf)
FMS_CPU_CONVERT(llrint, double, long long, __builtin_rint)
FMS_CPU_CONVERT(lroundf, float, long, __builtin_roundf)
FMS_CPU_CONVERT(lround, double, long, __builtin_round)
FMS_CPU_CONVERT(llroundf, float, long long, __builtin_roundf)
FMS_CPU_CONVERT(llround, double, long long, __builtin_round)
#undef FMS_CPU_CONVERT

#define FMS_CPU_CAST(name, From, To) \
  FMS_CPU_FN To name(From x) { return static_cast<To>(x); }
FMS_CPU_CAST(__int2float_rn, int, float)
FMS_CPU_CAST(__uint2float_rn, unsigned, float)
FMS_CPU_CAST(__ll2float_rn, long long, float)
FMS_CPU_CAST(__ull2float_rn, unsigned long long, float)
FMS_CPU_CAST(__int2double_rn, int, double)
FMS_CPU_CAST(__uint2double_rn, unsigned, double)
FMS_CPU_CAST(__ll2double_rn, long long, double)
FMS_CPU_CAST(__ull2double_rn, unsigned long long, double)
FMS_CPU_CAST(__double2float_rn, double, float)
#undef FMS_CPU_CAST

#define FMS_CPU_BIT_CAST(name, From, To) \
  FMS_CPU_CONSTEXPR To name(From x) { return __builtin_bit_cast(To, x); }
FMS_CPU_BIT_CAST(__int_as_float, int, float)
FMS_CPU_BIT_CAST(__float_as_int, float, int)
FMS_CPU_BIT_CAST(__uint_as_float, unsigned, float)
FMS_CPU_BIT_CAST(__float_as_uint, float, unsigned)
FMS_CPU_BIT_CAST(__double_as_longlong, double, long long)
FMS_CPU_BIT_CAST(__longlong_as_double, long long, double)
#undef FMS_CPU_BIT_CAST

FMS_CPU_FN double __hiloint2double(int high, int low) {
  return __longlong_as_double(fms_cpu_s64(fms_cpu_u64(unsigned(high)) << 32 | unsigned(low)));
}
FMS_CPU_FN int __double2hiint(double x) { return int(__double_as_longlong(x) >> 32); }
FMS_CPU_FN int __double2loint(double x) { return int(__double_as_longlong(x)); }

#endif  // FMS_CPU_CONVERSIONS_CUH_

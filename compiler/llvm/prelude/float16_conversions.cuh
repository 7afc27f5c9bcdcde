// Conversions from and to a 16-bit type, for the header that has defined what float16_types.cuh
// needs and, for the functions' names, FMS_CPU_NAME(before, after) and FMS_CPU_NAME2, which put the
// type's or the pair's name in between, and FMS_CPU_SPREAD. Read once for each type: it has no
// guard.

#pragma clang system_header

FMS_CPU_FN float FMS_CPU_NAME(__, 2float)(const FMS_CPU_T& a) { return a; }
FMS_CPU_FN FMS_CPU_T FMS_CPU_NAME(__float2, )(float x) { return x; }
FMS_CPU_FN FMS_CPU_T FMS_CPU_NAME(__double2, )(double x) { return x; }

// The other roundings start from the nearest, and step back where that lies beyond x.
FMS_CPU_FN FMS_CPU_T fms_cpu_step(const FMS_CPU_T& a, bool step, int by) {
  return FMS_CPU_RAW{static_cast<unsigned short>(step ? a.__x + by : a.__x)};
}
FMS_CPU_FN FMS_CPU_T FMS_CPU_NAME(__float2, _rn)(float x) { return x; }
FMS_CPU_FN FMS_CPU_T FMS_CPU_NAME(__float2, _rz)(float x) {
  const FMS_CPU_T a = x;
  return fms_cpu_step(a, fabsf(float(a)) > fabsf(x), -1);
}
FMS_CPU_FN FMS_CPU_T FMS_CPU_NAME(__float2, _ru)(float x) {
  const FMS_CPU_T a = x;
  return fms_cpu_step(a, float(a) < x, a.__x >> 15 ? -1 : 1);
}
FMS_CPU_FN FMS_CPU_T FMS_CPU_NAME(__float2, _rd)(float x) {
  const FMS_CPU_T a = x;
  return fms_cpu_step(a, float(a) > x, a.__x >> 15 ? 1 : -1);
}

#define FMS_CPU_FROM(type, name, rounding)                               \
  FMS_CPU_FN FMS_CPU_T FMS_CPU_NAME(__##name##2, _##rounding)(type x) {  \
    return FMS_CPU_NAME(__float2, _##rounding)(fms_cpu_float_to_odd(x)); \
  }
#define FMS_CPU_TO(type, name, wide, rounding)                                 \
  FMS_CPU_FN type FMS_CPU_NAME(__, 2##name##_##rounding)(const FMS_CPU_T& a) { \
    return fms_cpu_clamped<type>(__float2##wide##_##rounding(a));              \
  }
#define FMS_CPU_INTEGER_ROUNDED(type, name, wide, rounding) \
  FMS_CPU_FROM(type, name, rounding)                        \
  FMS_CPU_TO(type, name, wide, rounding)
#define FMS_CPU_INTEGER(type, name, wide)       \
  FMS_CPU_INTEGER_ROUNDED(type, name, wide, rn) \
  FMS_CPU_INTEGER_ROUNDED(type, name, wide, rz) \
  FMS_CPU_INTEGER_ROUNDED(type, name, wide, ru) \
  FMS_CPU_INTEGER_ROUNDED(type, name, wide, rd)
FMS_CPU_INTEGER(short, short, int)
FMS_CPU_INTEGER(unsigned short, ushort, int)
FMS_CPU_INTEGER(int, int, int)
FMS_CPU_INTEGER(unsigned, uint, uint)
FMS_CPU_INTEGER(long long, ll, ll)
FMS_CPU_INTEGER(unsigned long long, ull, ull)
FMS_CPU_TO(signed char, char, int, rz)
FMS_CPU_TO(unsigned char, uchar, int, rz)
#undef FMS_CPU_INTEGER
#undef FMS_CPU_INTEGER_ROUNDED
#undef FMS_CPU_TO
#undef FMS_CPU_FROM

FMS_CPU_FN short FMS_CPU_NAME(__, _as_short)(const FMS_CPU_T& a) { return short(a.__x); }
FMS_CPU_FN unsigned short FMS_CPU_NAME(__, _as_ushort)(const FMS_CPU_T& a) { return a.__x; }
FMS_CPU_FN FMS_CPU_T FMS_CPU_NAME(__short_as_, )(short bits) {
  return FMS_CPU_RAW{static_cast<unsigned short>(bits)};
}
FMS_CPU_FN FMS_CPU_T FMS_CPU_NAME(__ushort_as_, )(unsigned short bits) { return FMS_CPU_RAW{bits}; }

// Pairs. Low is x, high is y.
FMS_CPU_FN FMS_CPU_T2 FMS_CPU_NAME2(make_, )(const FMS_CPU_T& x, const FMS_CPU_T& y) {
  return {x, y};
}
FMS_CPU_FN FMS_CPU_T2 FMS_CPU_NAME2(__halves2, )(const FMS_CPU_T& x, const FMS_CPU_T& y) {
  return {x, y};
}
FMS_CPU_FN FMS_CPU_T2 FMS_CPU_NAME2(__floats2, _rn)(float x, float y) { return {x, y}; }
FMS_CPU_FN FMS_CPU_T2 FMS_CPU_NAME2(__float22, _rn)(float2 a) { return {a.x, a.y}; }
FMS_CPU_FN FMS_CPU_T2 FMS_CPU_NAME2(__float2, _rn)(float x) { return {x, x}; }
FMS_CPU_FN float2 FMS_CPU_NAME2(__, 2float2)(const FMS_CPU_T2& a) { return {a.x, a.y}; }
FMS_CPU_FN FMS_CPU_T FMS_CPU_NAME(__low2, )(const FMS_CPU_T2& a) { return a.x; }
FMS_CPU_FN FMS_CPU_T FMS_CPU_NAME(__high2, )(const FMS_CPU_T2& a) { return a.y; }
FMS_CPU_FN FMS_CPU_T2 FMS_CPU_NAME2(__low2, )(const FMS_CPU_T2& a) { return {a.x, a.x}; }
FMS_CPU_FN FMS_CPU_T2 FMS_CPU_NAME2(__high2, )(const FMS_CPU_T2& a) { return {a.y, a.y}; }
FMS_CPU_FN FMS_CPU_T2 FMS_CPU_NAME2(__lows2, )(const FMS_CPU_T2& a, const FMS_CPU_T2& b) {
  return {a.x, b.x};
}
FMS_CPU_FN FMS_CPU_T2 FMS_CPU_NAME2(__highs2, )(const FMS_CPU_T2& a, const FMS_CPU_T2& b) {
  return {a.y, b.y};
}
FMS_CPU_FN FMS_CPU_T2 FMS_CPU_SPREAD(const FMS_CPU_T& a) { return {a, a}; }
FMS_CPU_FN float __low2float(const FMS_CPU_T2& a) { return a.x; }
FMS_CPU_FN float __high2float(const FMS_CPU_T2& a) { return a.y; }
FMS_CPU_FN FMS_CPU_T2 __lowhigh2highlow(const FMS_CPU_T2& a) { return {a.y, a.x}; }

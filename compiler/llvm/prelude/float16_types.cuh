// The structs of a 16-bit type and of two of them, for the header that has defined FMS_CPU_T (the
// type), FMS_CPU_T2 (the pair), FMS_CPU_RAW and FMS_CPU_RAW2 (their bits), FMS_CPU_ENCODE (float to
// bits, to the nearest) and FMS_CPU_DECODE. Read once for each type: it has no guard.

#pragma clang system_header

// The conversions are templates, not functions for each type: for those clang would weigh all
// built-in operators of all pairs of types at each operator in the source, which takes it
// milliseconds.
struct __align__(2) FMS_CPU_T {
  unsigned short __x;

  FMS_CPU_T() = default;
  FMS_CPU_MEMBER constexpr FMS_CPU_T(FMS_CPU_RAW raw) : __x(raw.x) {}
  template <typename From, typename = typename fms_cpu_if_arithmetic<From>::type>
  FMS_CPU_MEMBER FMS_CPU_T(From x) : __x(FMS_CPU_ENCODE(fms_cpu_float_to_odd(x))) {}

  FMS_CPU_MEMBER constexpr operator FMS_CPU_RAW() const { return {__x}; }
  template <typename To, typename = typename fms_cpu_if_arithmetic<To>::type>
  FMS_CPU_MEMBER operator To() const {
    return fms_cpu_from_float<To>(FMS_CPU_DECODE(__x));
  }
};

struct __align__(4) FMS_CPU_T2 {
  FMS_CPU_T x, y;

  FMS_CPU_T2() = default;
  FMS_CPU_MEMBER constexpr FMS_CPU_T2(const FMS_CPU_T& x, const FMS_CPU_T& y) : x(x), y(y) {}
  FMS_CPU_MEMBER constexpr FMS_CPU_T2(FMS_CPU_RAW2 raw)
      : x(FMS_CPU_RAW{raw.x}), y(FMS_CPU_RAW{raw.y}) {}
  FMS_CPU_MEMBER constexpr operator FMS_CPU_RAW2() const { return {x.__x, y.__x}; }
};

#define FMS_CPU_ARITHMETIC(symbol)                                                  \
  FMS_CPU_FN FMS_CPU_T operator symbol(const FMS_CPU_T& a, const FMS_CPU_T& b) {    \
    return float(a) symbol float(b);                                                \
  }                                                                                 \
  FMS_CPU_FN FMS_CPU_T2 operator symbol(const FMS_CPU_T2& a, const FMS_CPU_T2& b) { \
    return {a.x symbol b.x, a.y symbol b.y};                                        \
  }                                                                                 \
  FMS_CPU_FN FMS_CPU_T& operator symbol##=(FMS_CPU_T& a, const FMS_CPU_T& b) {      \
    return a = a symbol b;                                                          \
  }                                                                                 \
  FMS_CPU_FN FMS_CPU_T2& operator symbol##=(FMS_CPU_T2& a, const FMS_CPU_T2& b) {   \
    return a = a symbol b;                                                          \
  }
FMS_CPU_ARITHMETIC(+)
FMS_CPU_ARITHMETIC(-)
FMS_CPU_ARITHMETIC(*)
FMS_CPU_ARITHMETIC(/)
#undef FMS_CPU_ARITHMETIC

// Pairs compare as one: both must.
#define FMS_CPU_COMPARE(symbol)                                               \
  FMS_CPU_FN bool operator symbol(const FMS_CPU_T& a, const FMS_CPU_T& b) {   \
    return float(a) symbol float(b);                                          \
  }                                                                           \
  FMS_CPU_FN bool operator symbol(const FMS_CPU_T2& a, const FMS_CPU_T2& b) { \
    return a.x symbol b.x && a.y symbol b.y;                                  \
  }
FMS_CPU_COMPARE(==)
FMS_CPU_COMPARE(!=)
FMS_CPU_COMPARE(<)
FMS_CPU_COMPARE(>)
FMS_CPU_COMPARE(<=)
FMS_CPU_COMPARE(>=)
#undef FMS_CPU_COMPARE

FMS_CPU_FN FMS_CPU_T operator+(const FMS_CPU_T& a) { return a; }
FMS_CPU_FN FMS_CPU_T2 operator+(const FMS_CPU_T2& a) { return a; }
FMS_CPU_FN FMS_CPU_T operator-(const FMS_CPU_T& a) {
  return FMS_CPU_RAW{static_cast<unsigned short>(a.__x ^ 0x8000)};
}
FMS_CPU_FN FMS_CPU_T2 operator-(const FMS_CPU_T2& a) { return {-a.x, -a.y}; }

#define FMS_CPU_STEP(type, symbol, step)                           \
  FMS_CPU_FN type& operator symbol(type& a) { return a = a step; } \
  FMS_CPU_FN type operator symbol(type& a, int) {                  \
    const type old = a;                                            \
    a = a step;                                                    \
    return old;                                                    \
  }
FMS_CPU_STEP(FMS_CPU_T, ++, +FMS_CPU_T(1.0f))
FMS_CPU_STEP(FMS_CPU_T, --, -FMS_CPU_T(1.0f))
FMS_CPU_STEP(FMS_CPU_T2, ++, +FMS_CPU_T2(1.0f, 1.0f))
FMS_CPU_STEP(FMS_CPU_T2, --, -FMS_CPU_T2(1.0f, 1.0f))
#undef FMS_CPU_STEP

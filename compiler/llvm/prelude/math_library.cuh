#ifndef FMS_CPU_MATH_LIBRARY_CUH_
#define FMS_CPU_MATH_LIBRARY_CUH_

// Functions that libm has under CUDA's name, f for floats. Clang knows them: those with an
// instruction (sqrtf, floorf, fmaf ...) become that, the others a call.

#pragma clang system_header

#define FMS_CPU_LIBM(result, name, parameters) \
  extern "C" __host__ __device__ __attribute__((nothrow)) result name parameters;
#define FMS_CPU_LIBM_1(name)            \
  FMS_CPU_LIBM(float, name##f, (float)) \
  FMS_CPU_LIBM(double, name, (double))
#define FMS_CPU_LIBM_2(name)                   \
  FMS_CPU_LIBM(float, name##f, (float, float)) \
  FMS_CPU_LIBM(double, name, (double, double))

FMS_CPU_LIBM_1(acos)
FMS_CPU_LIBM_1(acosh)
FMS_CPU_LIBM_1(asin)
FMS_CPU_LIBM_1(asinh)
FMS_CPU_LIBM_1(atan)
FMS_CPU_LIBM_1(atanh)
FMS_CPU_LIBM_1(cbrt)
FMS_CPU_LIBM_1(ceil)
FMS_CPU_LIBM_1(cos)
FMS_CPU_LIBM_1(cosh)
FMS_CPU_LIBM_1(erf)
FMS_CPU_LIBM_1(erfc)
FMS_CPU_LIBM_1(expm1)
FMS_CPU_LIBM_1(fabs)
FMS_CPU_LIBM_1(floor)
FMS_CPU_LIBM_1(j0)
FMS_CPU_LIBM_1(j1)
FMS_CPU_LIBM_1(lgamma)
FMS_CPU_LIBM_1(log1p)
FMS_CPU_LIBM_1(logb)
FMS_CPU_LIBM_1(nearbyint)
FMS_CPU_LIBM_1(rint)
FMS_CPU_LIBM_1(round)
FMS_CPU_LIBM_1(sin)
FMS_CPU_LIBM_1(sinh)
FMS_CPU_LIBM_1(sqrt)
FMS_CPU_LIBM_1(tan)
FMS_CPU_LIBM_1(tanh)
FMS_CPU_LIBM_1(tgamma)
FMS_CPU_LIBM_1(trunc)
FMS_CPU_LIBM_1(y0)
FMS_CPU_LIBM_1(y1)

FMS_CPU_LIBM_2(atan2)
FMS_CPU_LIBM_2(copysign)
FMS_CPU_LIBM_2(fdim)
FMS_CPU_LIBM_2(fmax)
FMS_CPU_LIBM_2(fmin)
FMS_CPU_LIBM_2(fmod)
FMS_CPU_LIBM_2(hypot)
FMS_CPU_LIBM_2(nextafter)
FMS_CPU_LIBM_2(pow)
FMS_CPU_LIBM_2(remainder)

FMS_CPU_LIBM(float, fmaf, (float, float, float))
FMS_CPU_LIBM(double, fma, (double, double, double))
FMS_CPU_LIBM(float, frexpf, (float, int*))
FMS_CPU_LIBM(double, frexp, (double, int*))
FMS_CPU_LIBM(float, ldexpf, (float, int))
FMS_CPU_LIBM(double, ldexp, (double, int))
FMS_CPU_LIBM(float, scalbnf, (float, int))
FMS_CPU_LIBM(double, scalbn, (double, int))
FMS_CPU_LIBM(float, scalblnf, (float, long))
FMS_CPU_LIBM(double, scalbln, (double, long))
FMS_CPU_LIBM(float, modff, (float, float*))
FMS_CPU_LIBM(double, modf, (double, double*))
FMS_CPU_LIBM(float, remquof, (float, float, int*))
FMS_CPU_LIBM(double, remquo, (double, double, int*))
FMS_CPU_LIBM(int, ilogbf, (float))
FMS_CPU_LIBM(int, ilogb, (double))
FMS_CPU_LIBM(float, jnf, (int, float))
FMS_CPU_LIBM(double, jn, (int, double))
FMS_CPU_LIBM(float, ynf, (int, float))
FMS_CPU_LIBM(double, yn, (int, double))
FMS_CPU_LIBM(float, nanf, (const char*))
FMS_CPU_LIBM(double, nan, (const char*))
FMS_CPU_LIBM(void, sincosf, (float, float*, float*))
FMS_CPU_LIBM(void, sincos, (double, double*, double*))

// Of these, the float forms are in math_exponential.cuh.
FMS_CPU_LIBM(double, exp, (double))
FMS_CPU_LIBM(double, exp2, (double))
FMS_CPU_LIBM(double, exp10, (double))
FMS_CPU_LIBM(double, log, (double))
FMS_CPU_LIBM(double, log2, (double))
FMS_CPU_LIBM(double, log10, (double))

#undef FMS_CPU_LIBM_2
#undef FMS_CPU_LIBM_1
#undef FMS_CPU_LIBM

#endif  // FMS_CPU_MATH_LIBRARY_CUH_

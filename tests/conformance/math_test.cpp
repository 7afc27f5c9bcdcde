// The mathematical library, within the error that CUDA's manual states for each function: in units
// of the last place (ulps) of the result, against the correctly rounded one.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "tests/conformance/conformance_fixture.h"

namespace fms {
namespace {

class MathConformanceTest : public ConformanceTest {};

// The distance to the next greater number, at the magnitude of `x`.
template <typename T>
double ulp(T x) {
  x = std::min(std::abs(x), std::numeric_limits<T>::max());
  const int exponent = x == 0 ? std::numeric_limits<T>::min_exponent - 1 : std::ilogb(x);
  const int last = std::numeric_limits<T>::digits - 1;
  return std::ldexp(1.0, std::max(exponent, std::numeric_limits<T>::min_exponent - 1) - last);
}

// Reference in a wider type: double for float, long double for double.
template <typename Wide>
struct Function {
  int number;  // in kernels/math_functions.cu
  const char* name;
  Wide (*reference)(Wide, Wide);
  double low,
      high;  // of the first argument, which is positive and spread over magnitudes if low > 0
  double max_ulps;
  double y_low = -3, y_high = 3;
};

template <typename T>
std::vector<T> arguments(double low, double high, std::size_t count, unsigned seed) {
  if (low <= 0) return random_reals<T>(count, low, high, seed);
  std::vector<T> values = random_reals<T>(count, std::log(low), std::log(high), seed);
  for (T& value : values) value = std::exp(value);
  return values;
}

template <typename T, typename Wide>
::testing::AssertionResult within(const Function<Wide>& function, const std::vector<T>& x,
                                  const std::vector<T>& y, const std::vector<T>& actual) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto expected = static_cast<T>(function.reference(x[i], y[i]));
    if (std::isnan(expected) ? std::isnan(actual[i]) : actual[i] == expected) continue;
    const double ulps = std::abs(static_cast<double>(actual[i] - expected)) / ulp(expected);
    if (ulps <= function.max_ulps) continue;
    return ::testing::AssertionFailure()
           << function.name << "(" << x[i] << ", " << y[i] << ") is " << actual[i] << ", and not "
           << expected << ": " << ulps << " ulps";
  }
  return ::testing::AssertionSuccess();
}

using FloatFunction = Function<double>;

#define FMS_UNARY(expression) [](double x, double) -> double { return expression; }
#define FMS_BINARY(expression) [](double x, double y) -> double { return expression; }

const FloatFunction kFloatFunctions[] = {
    {0, "sinf", FMS_UNARY(std::sin(x)), -1e5, 1e5, 2},
    {1, "cosf", FMS_UNARY(std::cos(x)), -1e5, 1e5, 2},
    {2, "tanf", FMS_UNARY(std::tan(x)), -100, 100, 4},
    {3, "expf", FMS_UNARY(std::exp(x)), -104, 90, 2},
    {4, "exp2f", FMS_UNARY(std::exp2(x)), -150, 130, 2},
    {5, "expm1f", FMS_UNARY(std::expm1(x)), -20, 90, 1},
    {6, "logf", FMS_UNARY(std::log(x)), 1e-40, 1e38, 1},
    {7, "log2f", FMS_UNARY(std::log2(x)), 1e-40, 1e38, 1},
    {8, "log1pf", FMS_UNARY(std::log1p(x)), -0.99, 10, 1},
    {9, "sqrtf", FMS_UNARY(std::sqrt(x)), 1e-40, 1e38, 0},
    {10, "rsqrtf", FMS_UNARY(1 / std::sqrt(x)), 1e-40, 1e38, 2},
    {11, "cbrtf", FMS_UNARY(std::cbrt(x)), -1e6, 1e6, 1},
    {12, "tanhf", FMS_UNARY(std::tanh(x)), -10, 10, 2},
    {13, "erff", FMS_UNARY(std::erf(x)), -5, 5, 2},
    {14, "asinf", FMS_UNARY(std::asin(x)), -1, 1, 2},
    {15, "atanf", FMS_UNARY(std::atan(x)), -1e3, 1e3, 2},
    {16, "sinhf", FMS_UNARY(std::sinh(x)), -88, 88, 3},
    {17, "powf", FMS_BINARY(std::pow(x, y)), 1e-10, 1e10, 4},
    {18, "atan2f", FMS_BINARY(std::atan2(x, y)), -3, 3, 3},
    {19, "fmodf", FMS_BINARY(std::fmod(x, y)), -100, 100, 0},
    {20, "hypotf", FMS_BINARY(std::hypot(x, y)), -5, 5, 3},
    {21, "fmaf", FMS_BINARY(std::fmaf(float(x), float(y), float(x))), -5, 5, 0},
    {22, "division", FMS_BINARY(x / y), -1e3, 1e3, 0},
    {23, "copysignf", FMS_BINARY(std::copysign(x, y)), -5, 5, 0},
    {24, "fminf", FMS_BINARY(std::fmin(x, y)), -5, 5, 0},
    {25, "fmaxf", FMS_BINARY(std::fmax(x, y)), -5, 5, 0},
    {26, "floorf + ceilf", FMS_BINARY(std::floor(x) + std::ceil(y)), -1e3, 1e3, 0},
    {27, "sincosf's sine", FMS_UNARY(std::sin(x)), -1e5, 1e5, 2},
    {28, "sincosf's cosine", FMS_UNARY(std::cos(x)), -1e5, 1e5, 2},
    {29, "__fmul_rn and __fadd_rn", FMS_BINARY(float(x* y) + x), -5, 5, 0},
    {30, "__frcp_rn", FMS_UNARY(1 / x), 1e-30, 1e30, 0},
    // 2 + floor(abs(1.173 x)); then that of the greatest x.
    {31, "__expf", FMS_UNARY(std::exp(x)), -20, 20, 25},
    {32, "__fdividef", FMS_BINARY(x / y), -1e3, 1e3, 2},
    {33, "log10f", FMS_UNARY(std::log10(x)), 1e-40, 1e38, 2},
    {34, "acosf", FMS_UNARY(std::acos(x)), -1, 1, 2},
    {35, "coshf", FMS_UNARY(std::cosh(x)), -88, 88, 2},
    {36, "ldexpf", FMS_BINARY(std::ldexp(x, int(y))), -5, 5, 0, -140, 120},
    {37, "fdimf", FMS_BINARY(std::fdim(x, y)), -5, 5, 0},
};

TEST_P(MathConformanceTest, FloatFunctionsAreAsAccurateAsTheManualSays) {
  const Kernel math = kernel("math_functions", "math_float");
  constexpr int kCount = 4000;
  for (const FloatFunction& f : kFloatFunctions) {
    const auto x = arguments<float>(f.low, f.high, kCount, 1 + f.number);
    const auto y = random_reals<float>(kCount, f.y_low, f.y_high, 100 + f.number);
    const auto out = poisoned<float>(kCount);
    run(math, covering(kCount, 128), f.number, array(x), array(y), out, kCount);
    EXPECT_TRUE(within(f, x, y, out.values()));
  }
}

// The intrinsics that are fast and not exact don't say what they do there.
TEST_P(MathConformanceTest, FloatFunctionsTakeZerosInfinitiesNansAndSubnormals) {
  const Kernel math = kernel("math_functions", "math_float");
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  const float edges[] = {0.0f,    -0.0f, 1.0f,     -1.0f,     1e-40f,
                         -1e-40f, 3e38f, infinity, -infinity, nan};
  std::vector<float> x, y;
  for (const float a : edges) {
    for (const float b : edges) x.push_back(a), y.push_back(b);
  }
  const int n = static_cast<int>(x.size());
  for (const FloatFunction& f : kFloatFunctions) {
    if (f.name[0] == '_' || f.number == 36) continue;
    const auto out = poisoned<float>(n);
    run(math, covering(n, 128), f.number, array(x), array(y), out, n);
    EXPECT_TRUE(within(f, x, y, out.values()));
  }
}

using DoubleFunction = Function<long double>;

#undef FMS_UNARY
#undef FMS_BINARY
#define FMS_UNARY(expression) [](long double x, long double) -> long double { return expression; }
#define FMS_BINARY(expression) \
  [](long double x, long double y) -> long double { return expression; }

const DoubleFunction kDoubleFunctions[] = {
    {0, "sin", FMS_UNARY(std::sin(x)), -1e5, 1e5, 2},
    {1, "cos", FMS_UNARY(std::cos(x)), -1e5, 1e5, 2},
    {3, "exp", FMS_UNARY(std::exp(x)), -700, 700, 1},
    {6, "log", FMS_UNARY(std::log(x)), 1e-300, 1e300, 1},
    {9, "sqrt", FMS_UNARY(std::sqrt(double(x))), 1e-300, 1e300, 0},
    {12, "tanh", FMS_UNARY(std::tanh(x)), -10, 10, 2},
    {17, "pow", FMS_BINARY(std::pow(x, y)), 1e-10, 1e10, 2},
    {19, "fmod", FMS_BINARY(std::fmod(x, y)), -100, 100, 0},
    {21, "fma", FMS_BINARY(std::fma(double(x), double(y), double(x))), -5, 5, 0},
    {22, "division", FMS_BINARY(double(x) / double(y)), -1e3, 1e3, 0},
    {24, "fmin", FMS_BINARY(std::fmin(x, y)), -5, 5, 0},
    {26, "floor + ceil", FMS_BINARY(std::floor(x) + std::ceil(y)), -1e3, 1e3, 0},
};

TEST_P(MathConformanceTest, DoubleFunctionsAreAsAccurateAsTheManualSays) {
  const Kernel math = kernel("math_functions", "math_double");
  constexpr int kCount = 4000;
  for (const DoubleFunction& f : kDoubleFunctions) {
    const auto x = arguments<double>(f.low, f.high, kCount, 1 + f.number);
    const auto y = random_reals<double>(kCount, f.y_low, f.y_high, 100 + f.number);
    const auto out = poisoned<double>(kCount);
    run(math, covering(kCount, 128), f.number, array(x), array(y), out, kCount);
    EXPECT_TRUE(within(f, x, y, out.values()));
  }
}

FMS_ON_EVERY_TARGET(MathConformanceTest);

}  // namespace
}  // namespace fms

// Lambdas that capture, variadic templates, `if constexpr`, structured bindings, classes with
// constructors, and constants of templates.

template <typename Operation>
__device__ void for_each(int n, Operation operation) {
  for (int i = threadIdx.x; i < n; i += blockDim.x) operation(i);
}

template <typename... Values>
__device__ int sum_of(Values... values) {
  return (0 + ... + static_cast<int>(values));
}

template <int kN>
struct Factorial {
  static constexpr int kValue = kN * Factorial<kN - 1>::kValue;
};
template <>
struct Factorial<0> {
  static constexpr int kValue = 1;
};

template <typename T>
__device__ T twice(T value) {
  if constexpr (sizeof(T) == 1) {
    return value;  // a byte stays as it is
  } else {
    return value + value;
  }
}

struct Range {
  int low, high;
};

class Accumulator {
 public:
  __device__ explicit Accumulator(int start) : total_(start) {}
  __device__ Accumulator& operator+=(int value) {
    total_ += value;
    return *this;
  }
  __device__ operator int() const { return total_; }

 private:
  int total_;
};

__device__ Range range_of(int i) { return {i, 2 * i + 1}; }

enum class Color : unsigned char { kRed = 3, kGreen = 5 };

extern "C" __global__ void lambdas_and_templates(int* out, int n, int scale) {
  const auto weigh = [scale](auto value) { return scale * value; };
  for_each(n, [=](int i) {
    const auto [low, high] = range_of(i);
    Accumulator total(low);
    (total += high) += weigh(i);
    const Color color = i % 2 == 0 ? Color::kRed : Color::kGreen;
    total += sum_of(i, 2.9f, static_cast<short>(-1), static_cast<unsigned char>(color));
    total += Factorial<5>::kValue + twice(i) + twice(static_cast<signed char>(i));
    out[i] = total;
  });
}

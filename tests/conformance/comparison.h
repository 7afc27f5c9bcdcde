#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <type_traits>
#include <vector>

namespace fms {

// A number as a failing test shows it: a byte is no letter here.
template <typename T>
auto printable(T value) {
  if constexpr (std::is_integral_v<T> && sizeof(T) == 1) {
    return static_cast<int>(value);
  } else {
    return value;
  }
}

// Succeeds if all are equal; else says where the first is that isn't, and how many aren't.
template <typename T>
::testing::AssertionResult same(const std::vector<T>& actual, const std::vector<T>& expected) {
  if (actual.size() != expected.size()) {
    return ::testing::AssertionFailure()
           << actual.size() << " elements, and not " << expected.size();
  }
  std::size_t wrong = 0, first = 0;
  for (std::size_t i = actual.size(); i-- > 0;) {
    if (actual[i] == expected[i]) continue;
    first = i;
    ++wrong;
  }
  if (wrong == 0) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << "element " << first << " is " << printable(actual[first]) << ", and not "
         << printable(expected[first]) << "; so it is with " << wrong << " of " << actual.size();
}

// What an element may be: `value`, but for `tolerance`.
struct Expected {
  double value = 0;
  double tolerance = 0;
};

// The same for floats that have a tolerance each. NaN is never near.
template <typename T>
::testing::AssertionResult near(const std::vector<T>& actual,
                                const std::vector<Expected>& expected) {
  if (actual.size() != expected.size()) {
    return ::testing::AssertionFailure()
           << actual.size() << " elements, and not " << expected.size();
  }
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double error = std::abs(static_cast<double>(actual[i]) - expected[i].value);
    if (error <= expected[i].tolerance) continue;
    return ::testing::AssertionFailure()
           << "element " << i << " is " << actual[i] << ", and not " << expected[i].value
           << ": off by " << error << ", and " << expected[i].tolerance << " is allowed";
  }
  return ::testing::AssertionSuccess();
}

// Numbers from `low` to `high`, the same for the same seed.
template <typename T>
std::vector<T> random_integers(std::size_t count, std::int64_t low, std::int64_t high,
                               unsigned seed = 1) {
  std::mt19937_64 bits(seed);
  std::uniform_int_distribution<std::int64_t> uniform(low, high);
  std::vector<T> values(count);
  for (T& value : values) value = static_cast<T>(uniform(bits));
  return values;
}

template <typename T>
std::vector<T> random_reals(std::size_t count, double low, double high, unsigned seed = 1) {
  std::mt19937_64 bits(seed);
  std::uniform_real_distribution<double> uniform(low, high);
  std::vector<T> values(count);
  for (T& value : values) value = static_cast<T>(uniform(bits));
  return values;
}

// Any bits.
template <typename T>
std::vector<T> random_bits(std::size_t count, unsigned seed = 1) {
  std::mt19937_64 bits(seed);
  std::vector<T> values(count);
  for (T& value : values) value = static_cast<T>(bits());
  return values;
}

}  // namespace fms

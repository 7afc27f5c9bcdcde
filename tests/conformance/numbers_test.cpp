// Integers, conversions and 16-bit floats, to the bit.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "tests/conformance/conformance_fixture.h"
#include "tests/templates/host_array.h"

namespace fms {
namespace {

class NumberConformanceTest : public ConformanceTest {};

std::uint32_t reversed(std::uint32_t x) {
  std::uint32_t result = 0;
  for (int i = 0; i < 32; ++i) result |= (x >> i & 1) << (31 - i);
  return result;
}
std::uint64_t reversed_64(std::uint64_t x) {
  return std::uint64_t{reversed(static_cast<std::uint32_t>(x))} << 32 |
         reversed(static_cast<std::uint32_t>(x >> 32));
}

// The byte of y:x that each nibble of the selector names.
std::uint32_t permuted(std::uint32_t x, std::uint32_t y, std::uint32_t selector) {
  const std::uint64_t bytes = std::uint64_t{y} << 32 | x;
  std::uint32_t result = 0;
  for (int i = 0; i < 4; ++i) {
    result |= static_cast<std::uint32_t>(bytes >> 8 * (selector >> 4 * i & 7) & 0xff) << 8 * i;
  }
  return result;
}

std::vector<std::uint32_t> integers_32(std::uint32_t x, std::uint32_t y) {
  const auto sx = static_cast<std::int32_t>(x), sy = static_cast<std::int32_t>(y);
  const bool divides = sy != 0 && sy != -1;
  const auto bits = [](auto value) { return static_cast<std::uint32_t>(value); };
  const std::uint64_t pair = std::uint64_t{y} << 32 | x;
  const std::uint32_t shift = x & 31;
  return {x + y,
          x - y,
          x * y,
          y == 0 ? 0 : x / y,
          y == 0 ? 0 : x % y,
          divides ? bits(sx / sy) : 0,
          divides ? bits(sx % sy) : 0,
          x << (y & 31),
          x >> (y & 31),
          bits(sx >> (y & 31)),
          bits(std::popcount(x)),
          bits(std::countl_zero(x)),
          x == 0 ? 0 : bits(std::countr_zero(x) + 1),
          reversed(x),
          bits(std::uint64_t{x} * y >> 32),
          bits(std::int64_t{sx} * sy >> 32),
          permuted(x, y, 0x6240),
          bits(static_cast<std::uint8_t>(x * 3)),
          bits(static_cast<std::int8_t>(x)),
          bits(static_cast<std::int16_t>(x) * static_cast<std::int16_t>(y)),
          std::min(x, y) ^ bits(std::max(sx, sy)),
          bits(pair << shift >> 32) ^ bits(std::abs(sx | 1))};
}

std::vector<long long> integers_64(std::uint32_t x, std::uint32_t y) {
  const auto bits = static_cast<std::uint64_t>(x) << 32 ^ y;
  const auto wide = static_cast<std::int64_t>(bits);
  const auto as_signed = [](std::uint64_t value) { return static_cast<long long>(value); };
  const int first = bits == 0 ? 0 : std::countr_zero(bits) + 1;
  __extension__ using Wide = unsigned __int128;
  return {as_signed(bits * 1000003),
          wide / 1000003,
          wide % 1000003,
          as_signed(bits / 7),
          std::popcount(bits) + 100 * std::countl_zero(bits) + 10000 * first,
          as_signed(reversed_64(bits)),
          as_signed(static_cast<std::uint64_t>(Wide{bits} * 0x9e3779b97f4a7c15u >> 64)),
          wide >> (y & 63)};
}

TEST_P(NumberConformanceTest, IntegersWrapDivideAndShiftToTheBit) {
  auto a = random_bits<unsigned>(500, 1), b = random_bits<unsigned>(500, 2);
  for (std::size_t i = 0; i < 100; ++i) b[i] %= 20;
  const unsigned edges[] = {0, 1, 2, 31, 32, 0x7fffffff, 0x80000000, 0xffffffff};
  for (const unsigned x : edges) {
    for (const unsigned y : edges) a.push_back(x), b.push_back(y);
  }
  const int n = static_cast<int>(a.size());
  const auto u = poisoned<std::uint32_t>(22 * n);
  const auto l = poisoned<long long>(8 * n);
  run(kernel("integers"), covering(n, 100), array(a), array(b), u, l, n);
  std::vector<std::uint32_t> expected;
  std::vector<long long> expected_l;
  for (int i = 0; i < n; ++i) {
    const auto narrow = integers_32(a[i], b[i]);
    const auto wide = integers_64(a[i], b[i]);
    expected.insert(expected.end(), narrow.begin(), narrow.end());
    expected_l.insert(expected_l.end(), wide.begin(), wide.end());
  }
  EXPECT_TRUE(same(u.values(), expected));
  EXPECT_TRUE(same(l.values(), expected_l));
}

TEST_P(NumberConformanceTest, ConversionsRoundAsTheySay) {
  auto x = random_reals<float>(400, -1e6, 1e6);
  for (const float edge : {0.0f, -0.0f, 0.5f, -0.5f, 1.5f, 2.5f, -2.5f, 0.49999997f, 8388607.5f,
                           -3.75f, 1e-40f, 16777216.0f}) {
    x.push_back(edge);
  }
  const int n = static_cast<int>(x.size());
  const auto i = poisoned<int>(8 * n);
  const auto l = poisoned<long long>(2 * n);
  const auto f = poisoned<float>(3 * n);
  run(kernel("conversions"), covering(n, 96), array(x), i, l, f, n);
  std::vector<int> expected_i;
  std::vector<long long> expected_l;
  std::vector<float> expected_f;
  for (const float v : x) {
    const auto integer = [](float value) { return static_cast<int>(value); };
    const int bits = std::bit_cast<int>(v);
    expected_i.insert(
        expected_i.end(),
        {integer(v), integer(std::nearbyint(v)), integer(std::trunc(v)), integer(std::floor(v)),
         integer(std::ceil(v)), bits, integer(std::nearbyint(std::abs(v))),
         integer(std::nearbyint(v)) + integer(std::round(v)) + integer(std::trunc(v)) +
             integer(std::floor(v)) + integer(std::ceil(v))});
    expected_l.push_back(static_cast<long long>(std::nearbyint(double{v} * 1048576.0)));
    expected_l.push_back(std::bit_cast<long long>(double{v}));
    expected_f.insert(expected_f.end(),
                      {static_cast<float>(bits), static_cast<float>(static_cast<unsigned>(bits)),
                       static_cast<float>(double{v} / 3.0)});
  }
  EXPECT_TRUE(same(i.values(), expected_i));
  EXPECT_TRUE(same(l.values(), expected_l));
  EXPECT_TRUE(same(f.values(), expected_f));
}

// `value` rounded to float16 once. The float on the way is rounded to odd, which keeps what isn't a
// tie from becoming one.
std::uint16_t half(double value) {
  auto truncated = static_cast<float>(value);
  if (std::abs(double{truncated}) > std::abs(value)) truncated = std::nextafter(truncated, 0.0f);
  if (truncated == value) return to_float16(truncated);
  return to_float16(std::bit_cast<float>(std::bit_cast<std::uint32_t>(truncated) | 1));
}

// Two lists of numbers, of which the first few of the second are small.
std::pair<std::vector<float>, std::vector<float>> operands(std::size_t count) {
  const auto a = random_reals<float>(count, -8, 8, 1);
  auto b = random_reals<float>(count, -8, 8, 2);
  for (std::size_t i = 0; i < count / 4; ++i) b[i] *= 0.0001f;
  return {a, b};
}

TEST_P(NumberConformanceTest, Float16OperationsRoundOnce) {
  constexpr int kCount = 600;
  const auto [reals_a, reals_b] = operands(kCount);
  std::vector<std::uint16_t> a(kCount), b(kCount), expected, expected_pairs;
  std::ranges::transform(reals_a, a.begin(), to_float16);
  std::ranges::transform(reals_b, b.begin(), to_float16);
  const auto out = poisoned<std::uint16_t>(8 * kCount), pairs = poisoned<std::uint16_t>(2 * kCount);
  const auto floats = poisoned<float>(kCount);
  run(kernel("half_arithmetic"), covering(kCount, 64), array(a), array(b), out, floats, pairs,
      kCount);
  std::vector<float> expected_floats;
  for (int i = 0; i < kCount; ++i) {
    const float x = from_float16(a[i]), y = from_float16(b[i]);
    const double wide_x = x, wide_y = y;  // in which all but the quotient is exact
    expected.insert(expected.end(),
                    {half(wide_x + wide_y), half(wide_x - wide_y), half(wide_x * wide_y),
                     half(wide_x / wide_y), half(wide_x * wide_y + wide_x), to_float16(x * 0.333f),
                     to_float16(x < y ? -x : x), to_float16(x + y)});
    expected_floats.push_back(x);
    expected_pairs.insert(expected_pairs.end(), {half(3 * wide_x), half(3 * wide_y)});
  }
  EXPECT_TRUE(same(out.values(), expected));
  EXPECT_TRUE(same(floats.values(), expected_floats));
  EXPECT_TRUE(same(pairs.values(), expected_pairs));
}

TEST_P(NumberConformanceTest, Bfloat16ConversionsRoundToTheNearestEven) {
  constexpr int kCount = 600;
  const auto [reals_a, reals_b] = operands(kCount);
  std::vector<std::uint16_t> a(kCount), b(kCount), expected;
  std::ranges::transform(reals_a, a.begin(), to_bfloat16);
  std::ranges::transform(reals_b, b.begin(), to_bfloat16);
  const auto out = poisoned<std::uint16_t>(4 * kCount);
  const auto floats = poisoned<float>(2 * kCount);
  run(kernel("bfloat16_arithmetic"), covering(kCount, 64), array(a), array(b), out, floats, kCount);
  std::vector<float> expected_floats;
  const auto to_float = [](std::uint16_t bits) {
    return std::bit_cast<float>(std::uint32_t{bits} << 16);
  };
  for (int i = 0; i < kCount; ++i) {
    const float x = to_float(a[i]), y = to_float(b[i]);
    expected.insert(expected.end(), {to_bfloat16(x + y), to_bfloat16(x * 0.1f), to_bfloat16(x * y),
                                     x < y ? a[i] : b[i]});
    expected_floats.insert(expected_floats.end(), {x, y});
  }
  EXPECT_TRUE(same(out.values(), expected));
  EXPECT_TRUE(same(floats.values(), expected_floats));
}

FMS_ON_EVERY_TARGET(NumberConformanceTest);

}  // namespace
}  // namespace fms

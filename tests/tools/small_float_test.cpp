#include "tools/fms/small_float.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>

namespace fms::program {
namespace {

TEST(SmallFloatTest, EveryHalfComesBackTheSame) {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const float value = half_to_float(static_cast<std::uint16_t>(bits));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(half_to_float(float_to_half(value))));
    } else {
      ASSERT_EQ(float_to_half(value), bits);
    }
  }
}

TEST(SmallFloatTest, EveryBfloat16ComesBackTheSame) {
  for (unsigned bits = 0; bits < 0x10000; ++bits) {
    const float value = bfloat16_to_float(static_cast<std::uint16_t>(bits));
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(bfloat16_to_float(float_to_bfloat16(value))));
    } else {
      ASSERT_EQ(float_to_bfloat16(value), bits);
    }
  }
}

// What lies half way between two neighbours goes to the one with the even last bit.
TEST(SmallFloatTest, TiesGoToEven) {
  for (unsigned bits = 0; bits < 0x7bff; ++bits) {
    const float low = half_to_float(static_cast<std::uint16_t>(bits));
    const float high = half_to_float(static_cast<std::uint16_t>(bits + 1));
    const unsigned even = bits % 2 == 0 ? bits : bits + 1;
    const float middle = low + (high - low) / 2;
    ASSERT_EQ(float_to_half(middle), even) << bits;
    ASSERT_EQ(float_to_half(std::nextafter(middle, low)), bits) << bits;
    ASSERT_EQ(float_to_half(std::nextafter(middle, high)), bits + 1) << bits;
  }
  EXPECT_EQ(float_to_bfloat16(0x1.01p0f), 0x3f80);  // half way between 0x3f80 and 0x3f81
  EXPECT_EQ(float_to_bfloat16(0x1.03p0f), 0x3f82);
}

TEST(SmallFloatTest, WhatIsTooLargeIsInfinite) {
  EXPECT_EQ(float_to_half(65519.0f), 0x7bff);
  EXPECT_EQ(float_to_half(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_half(-1e10f), 0xfc00);
  EXPECT_EQ(float_to_bfloat16(std::numeric_limits<float>::max()), 0x7f80);
}

}  // namespace
}  // namespace fms::program

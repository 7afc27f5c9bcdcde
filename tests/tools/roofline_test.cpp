#include "tools/fms/roofline.h"

#include <gtest/gtest.h>

namespace fms::program {
namespace {

double rate(std::string_view text) {
  const auto parsed = parse_rate(text);
  EXPECT_TRUE(parsed.has_value()) << text;
  return parsed ? *parsed : 0;
}

TEST(RooflineTest, RatesHavePrefixesOfAThousand) {
  EXPECT_DOUBLE_EQ(rate("67T"), 67e12);
  EXPECT_DOUBLE_EQ(rate("3.35TB/s"), 3.35e12);
  EXPECT_DOUBLE_EQ(rate("19.5 TFLOP/s"), 19.5e12);
  EXPECT_DOUBLE_EQ(rate("989TFLOPS"), 989e12);
  EXPECT_DOUBLE_EQ(rate("2e12"), 2e12);
  EXPECT_DOUBLE_EQ(rate("1P"), 1e15);
  EXPECT_DOUBLE_EQ(rate("5k"), rate("5K"));
  EXPECT_DOUBLE_EQ(rate("100"), 100);
}

TEST(RooflineTest, WhatIsNoRateIsRefused) {
  for (const char* text :
       {"", "T", "67X", "-1T", "0", "nan", "inf", "67T much", "1e400", "3.35TB"}) {
    const auto parsed = parse_rate(text);
    ASSERT_FALSE(parsed.has_value()) << text;
    EXPECT_EQ(parsed.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(parsed.error().message.find("67T"), std::string::npos) << "what there may be";
  }
}

TEST(RooflineTest, RatesAreShownInThePrefixThatFits) {
  EXPECT_EQ(format_rate(6.7e13, "FLOP/s"), "67 TFLOP/s");
  EXPECT_EQ(format_rate(3.35e12, "B/s"), "3.35 TB/s");
  EXPECT_EQ(format_rate(999.9e9, "B/s"), "1 TB/s");
  EXPECT_EQ(format_rate(12, "B/s"), "12 B/s");
}

TEST(RooflineTest, BelowTheRidgeMemoryIsTheBound) {
  const Roof roof{.peak_flops = 67e12, .bytes_a_second = 3.35e12};
  const Work saxpy{.flops = 2e9, .bytes = 12e9};
  const auto bound = bound_of(roof, saxpy);
  ASSERT_TRUE(bound.has_value());
  EXPECT_DOUBLE_EQ(bound->ridge, 20);
  EXPECT_EQ(bound->by, BoundBy::kMemory);
  EXPECT_DOUBLE_EQ(bound->attainable_flops, 3.35e12 / 6);
  EXPECT_DOUBLE_EQ(lowest_seconds(roof, saxpy).value(), 12e9 / 3.35e12);
}

TEST(RooflineTest, FromTheRidgeOnOperationsAre) {
  const Roof roof{.peak_flops = 100, .bytes_a_second = 10};
  for (const double bytes : {1.0, 0.5, 0.0}) {
    const Work work{.flops = 10, .bytes = bytes};
    EXPECT_EQ(bound_of(roof, work)->by, BoundBy::kCompute) << bytes;
    EXPECT_EQ(bound_of(roof, work)->attainable_flops, 100);
    EXPECT_DOUBLE_EQ(lowest_seconds(roof, work).value(), 0.1);
  }
}

TEST(RooflineTest, ACopyAttainsNoOperations) {
  const Roof roof{.peak_flops = 100, .bytes_a_second = 10};
  const Work copy{.flops = 0, .bytes = 20};
  EXPECT_EQ(bound_of(roof, copy)->by, BoundBy::kMemory);
  EXPECT_EQ(bound_of(roof, copy)->attainable_flops, 0);
  EXPECT_DOUBLE_EQ(lowest_seconds(roof, copy).value(), 2);
}

TEST(RooflineTest, HalfARoofBoundsTheTimeButNotTheKernel) {
  const Work work{.flops = 10, .bytes = 20};
  EXPECT_FALSE(bound_of({.peak_flops = 100}, work).has_value());
  EXPECT_DOUBLE_EQ(lowest_seconds({.peak_flops = 100}, work).value(), 0.1);
  EXPECT_DOUBLE_EQ(lowest_seconds({.bytes_a_second = 10}, work).value(), 2);
  EXPECT_FALSE(lowest_seconds({}, work).has_value());
}

TEST(RooflineTest, WorkIsOnGlobalMemoryAlone) {
  OperationCounts counts{.flops16 = 1, .flops32 = 2, .flops64 = 4, .special = 8, .integer = 16};
  counts.loaded_bytes = {8, 100, 100, 100};
  counts.stored_bytes = {4, 100, 100, 100};
  const Work work = work_of(counts);
  EXPECT_EQ(work.flops, 7);
  EXPECT_EQ(work.bytes, 12);
  EXPECT_DOUBLE_EQ(work.intensity().value(), 7.0 / 12);
  EXPECT_FALSE((Work{.flops = 3}).intensity().has_value());
}

}  // namespace
}  // namespace fms::program

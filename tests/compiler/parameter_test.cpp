#include "compiler/parameter.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <set>

namespace fms {
namespace {

constexpr int kRounds = 2000;

Parameter int_parameter() {
  return {.name = "kBlock",
          .kind = ParameterKind::kInt,
          .doc = "threads of a block",
          .default_value = Value::integer(256),
          .minimum = 32,
          .maximum = 1024,
          .divisor = 32};
}

Parameter mask_parameter() {
  return {.name = "kMask",
          .kind = ParameterKind::kEnum,
          .enum_type = "Mask",
          .default_value = Value::choice(0),
          .choices = {"kFull", "kCausal", "kCausalTopLeft"}};
}

Parameter dtype_parameter() {
  return {.name = "T",
          .kind = ParameterKind::kDType,
          .default_value = Value::dtype(DType::kFloat32),
          .allowed = {Value::dtype(DType::kFloat32), Value::dtype(DType::kBFloat16)}};
}

Parameter of_kind(ParameterKind kind) { return {.name = "x", .kind = kind}; }

TEST(ValueTest, EqualityIsTypeAndBits) {
  EXPECT_EQ(Value::integer(1), Value::integer(1));
  EXPECT_NE(Value::integer(1), Value::boolean(true));
  EXPECT_NE(Value::floating(0.0), Value::floating(-0.0));
  EXPECT_NE(Value::integer(0), Value::dynamic());
  EXPECT_EQ(sizeof(Value), 16u);
}

TEST(ValueTest, HashTellsTypesAndNeighboursApart) {
  std::set<std::uint64_t> hashes;
  for (int i = 0; i < 1000; ++i) hashes.insert(Value::integer(i).hash());
  hashes.insert(Value::boolean(false).hash());
  hashes.insert(Value::boolean(true).hash());
  hashes.insert(Value::dynamic().hash());
  EXPECT_EQ(hashes.size(), 1003u);
}

TEST(ParameterTest, RandomIntegersReadBackExactly) {
  std::mt19937_64 random(1);
  const Parameter parameter = of_kind(ParameterKind::kInt);
  for (int i = 0; i < kRounds; ++i) {
    const Value value = Value::integer(static_cast<std::int64_t>(random()) >> (random() % 64));
    EXPECT_EQ(parameter.parse(parameter.to_string(value)).value(), value);
  }
}

TEST(ParameterTest, RandomFloatsReadBackExactly) {
  std::mt19937_64 random(2);
  const Parameter parameter = of_kind(ParameterKind::kFloat);
  for (int i = 0; i < kRounds; ++i) {
    const double number = std::bit_cast<double>(random());
    if (std::isnan(number)) continue;
    const Value value = Value::floating(number);
    EXPECT_EQ(parameter.parse(parameter.to_string(value)).value(), value) << number;
  }
}

TEST(ParameterTest, DtypesEnumeratorsBoolsAndDynamicReadBack) {
  for (int i = 0; i < kDTypeCount; ++i) {
    const Value value = Value::dtype(static_cast<DType>(i));
    EXPECT_EQ(dtype_parameter().parse(dtype_parameter().to_string(value)).value(), value);
  }
  for (int i = 0; i < 3; ++i) {
    const Value value = Value::choice(i);
    EXPECT_EQ(mask_parameter().parse(mask_parameter().to_string(value)).value(), value);
  }
  const Parameter flag = of_kind(ParameterKind::kBool);
  EXPECT_EQ(flag.parse(flag.to_string(Value::boolean(true))).value(), Value::boolean(true));
  const Parameter size = of_kind(ParameterKind::kSize);
  EXPECT_EQ(size.parse(size.to_string(Value::dynamic())).value(), Value::dynamic());
}

TEST(ParameterTest, EnumeratorsMayBeWrittenWithoutTheirK) {
  const Parameter mask = mask_parameter();
  EXPECT_EQ(mask.parse("causal").value(), Value::choice(1));
  EXPECT_EQ(mask.parse("causal_top_left").value(), Value::choice(2));
  EXPECT_EQ(mask.parse("CausalTopLeft").value(), Value::choice(2));
  EXPECT_EQ(mask.parse("FULL").value(), Value::choice(0));
  EXPECT_FALSE(mask.parse("k").has_value());
  EXPECT_FALSE(mask.parse("").has_value());
}

TEST(ParameterTest, RefusesTextOfAnotherType) {
  EXPECT_FALSE(int_parameter().parse("256.0").has_value());
  EXPECT_FALSE(int_parameter().parse("").has_value());
  EXPECT_FALSE(int_parameter().parse(" 256").has_value());
  EXPECT_FALSE(int_parameter().parse("9223372036854775808").has_value());
  EXPECT_FALSE(int_parameter().parse("dynamic").has_value());
  EXPECT_FALSE(of_kind(ParameterKind::kBool).parse("yes").has_value());
  EXPECT_FALSE(of_kind(ParameterKind::kFloat).parse("1.0x").has_value());
  const auto refused = dtype_parameter().parse("float33");
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().message,
            "can't read \"float33\" as a value of T: expected dtype, float32 or bfloat16");
}

TEST(ParameterTest, CheckHoldsEveryConstraint) {
  const Parameter block = int_parameter();
  EXPECT_TRUE(block.check(Value::integer(32)).has_value());
  EXPECT_TRUE(block.check(Value::integer(1024)).has_value());
  EXPECT_FALSE(block.check(Value::integer(0)).has_value());
  EXPECT_FALSE(block.check(Value::integer(1056)).has_value());
  EXPECT_FALSE(block.check(Value::integer(48)).has_value());
  EXPECT_FALSE(block.check(Value::boolean(true)).has_value());
  EXPECT_FALSE(block.check(Value::dynamic()).has_value());
  EXPECT_TRUE(dtype_parameter().check(Value::dtype(DType::kBFloat16)).has_value());
  EXPECT_FALSE(dtype_parameter().check(Value::dtype(DType::kFloat16)).has_value());
  EXPECT_FALSE(mask_parameter().check(Value::choice(3)).has_value());
  EXPECT_FALSE(mask_parameter().check(Value::choice(-1)).has_value());
  EXPECT_TRUE(of_kind(ParameterKind::kSize).check(Value::dynamic()).has_value());
}

TEST(ParameterTest, FloatsMustBeFiniteOnTheDevice) {
  const Parameter scale = of_kind(ParameterKind::kFloat);
  EXPECT_TRUE(scale.check(Value::floating(-3.0e38)).has_value());
  EXPECT_FALSE(scale.check(Value::floating(1e39)).has_value());
  EXPECT_FALSE(scale.check(Value::floating(std::numeric_limits<double>::infinity())).has_value());
  EXPECT_FALSE(scale.check(Value::floating(std::nan(""))).has_value());
}

TEST(ParameterTest, TheErrorNamesParameterValueAndWhatIsAllowed) {
  EXPECT_EQ(int_parameter().check(Value::integer(100)).error().message,
            "kBlock can't be 100: expected int, 32..1024, a multiple of 32");
  EXPECT_EQ(mask_parameter().check(Value::integer(1)).error().message,
            "kMask can't be an integer: expected enum, kFull or kCausal or kCausalTopLeft");
}

TEST(ParameterTest, DescribeNamesAllThatIsDeclared) {
  EXPECT_EQ(int_parameter().describe(), "int, 32..1024, a multiple of 32, default 256");
  EXPECT_EQ(dtype_parameter().describe(), "dtype, float32 or bfloat16, default float32");
  Parameter size = of_kind(ParameterKind::kSize);
  size.minimum = 0;
  size.default_value = Value::dynamic();
  EXPECT_EQ(size.describe(), "size, at least 0, or dynamic, default dynamic");
}

}  // namespace
}  // namespace fms

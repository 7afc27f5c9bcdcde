#include "tools/fms/argument.h"

#include <gtest/gtest.h>

#include <cstring>

namespace fms::program {
namespace {

using Kind = KernelArgument::Kind;

KernelArgument parsed(std::string_view text) {
  const auto argument = parse_kernel_argument(text);
  EXPECT_TRUE(argument.has_value()) << argument.error().message;
  return argument ? *argument : KernelArgument{};
}

template <typename Number>
Number number_of(std::string_view text) {
  const KernelArgument argument = parsed(text);
  EXPECT_EQ(argument.kind, Kind::kNumber);
  EXPECT_EQ(static_cast<std::size_t>(size_of(argument.dtype)), sizeof(Number));
  Number number{};
  std::memcpy(&number, argument.number.data(), sizeof(number));
  return number;
}

TEST(ArgumentTest, AFilesNameMayHoldColons) {
  EXPECT_EQ(parsed("in:a:b.npy").file, "a:b.npy");
  EXPECT_EQ(parsed("out:f32:2:c:d.npy").file, "c:d.npy");
}

TEST(ArgumentTest, AnOutputHasTypeShapeAndFile) {
  const KernelArgument argument = parsed("out:f32:64x1024:c.npy");
  EXPECT_EQ(argument.kind, Kind::kOut);
  EXPECT_EQ(argument.dtype, DType::kFloat32);
  EXPECT_EQ(argument.shape, (std::vector<std::int64_t>{64, 1024}));
  EXPECT_EQ(argument.file, "c.npy");
}

TEST(ArgumentTest, InoutIsReadAndWritten) {
  EXPECT_EQ(parsed("inout:b.npy").kind, Kind::kInOut);
  EXPECT_EQ(parsed("in:b.npy").kind, Kind::kIn);
}

TEST(ArgumentTest, NumbersHaveTheBytesOfTheirType) {
  EXPECT_EQ(number_of<std::int32_t>("i32:-5"), -5);
  EXPECT_EQ(number_of<std::uint32_t>("u32:4294967295"), 4294967295u);
  EXPECT_EQ(number_of<std::int64_t>("i64:-9223372036854775808"), INT64_MIN);
  EXPECT_EQ(number_of<std::uint64_t>("u64:18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(number_of<std::int8_t>("i8:-128"), -128);
  EXPECT_EQ(number_of<float>("f32:0.5"), 0.5f);
  EXPECT_EQ(number_of<double>("f64:-1e300"), -1e300);
  EXPECT_EQ(number_of<std::uint16_t>("f16:1"), 0x3c00);
  EXPECT_EQ(number_of<std::uint16_t>("bf16:1"), 0x3f80);
  EXPECT_EQ(number_of<std::uint8_t>("bool:true"), 1);
  EXPECT_EQ(number_of<std::uint8_t>("bool:false"), 0);
}

TEST(ArgumentTest, WhatMakesNoSenseIsRefusedByName) {
  for (const char* text : {"",
                           "x",
                           "in:",
                           "inout:",
                           "out:",
                           "out:f32",
                           "out:f32:3",
                           "out:f32:3:",
                           "out:f99:3:a.npy",
                           "out:f32:3x:a.npy",
                           "out:f32:-3:a.npy",
                           "out:f64:4294967296x4294967296:a.npy",
                           "i32:",
                           "i32:5.5",
                           "i32:5 ",
                           "i32:2147483648",
                           "u32:-1",
                           "u8:256",
                           "f32:one",
                           "bool:yes",
                           "e4m3:1",
                           "int:5x"}) {
    const auto argument = parse_kernel_argument(text);
    ASSERT_FALSE(argument.has_value()) << text;
    EXPECT_EQ(argument.error().code, ErrorCode::kInvalidArgument) << text;
  }
}

TEST(ArgumentTest, GridSizesThatAreMissingAreOne) {
  EXPECT_EQ(*parse_dim3("7"), (Dim3{7, 1, 1}));
  EXPECT_EQ(*parse_dim3("7,8"), (Dim3{7, 8, 1}));
  EXPECT_EQ(*parse_dim3("7,8,9"), (Dim3{7, 8, 9}));
  for (const char* text : {"", ",", "7,", "7,8,9,", "7,8,9,10", "-1", "x", "7x8", "4294967296"}) {
    EXPECT_FALSE(parse_dim3(text).has_value()) << text;
  }
}

TEST(ArgumentTest, AnAssignmentSplitsAtItsFirstEqualsSign) {
  const auto pair = parse_assignment("kMask=a=b");
  ASSERT_TRUE(pair.has_value());
  EXPECT_EQ(pair->first, "kMask");
  EXPECT_EQ(pair->second, "a=b");
  EXPECT_FALSE(parse_assignment("kMask").has_value());
  EXPECT_FALSE(parse_assignment("=3").has_value());
}

}  // namespace
}  // namespace fms::program

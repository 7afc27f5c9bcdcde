#include "runtime/tensor_map.h"

#include <cstring>
#include <thread>
#include <vector>

#include "runtime/driver.h"
#include "tests/runtime/fake_device_fixture.h"

namespace fms {
namespace {

using testing::code_of;
using testing::message_of;
using testing::must;

class TensorMapTest : public testing::FakeDeviceTest {
 protected:
  // A row-major 1000 x 128 matrix of bfloat16, copied in tiles of 64 x 64.
  static TensorMapSpec matrix(std::uint64_t address = 0x10000) {
    return {.address = address,
            .dtype = DType::kBFloat16,
            .rank = 2,
            .shape = {128, 1000},
            .stride = {2, 256},
            .box = {64, 64},
            .swizzle = Swizzle::k128B};
  }
  template <typename Change>
  void expect_refused(Change&& change, const char* rule) {
    TensorMapSpec spec = matrix();
    change(spec);
    const auto map = cache_.get(*hopper_, spec);
    EXPECT_EQ(code_of(map), ErrorCode::kInvalidArgument);
    EXPECT_CONTAINS(message_of(map), rule);
    EXPECT_EQ(cache_.encoded(), 0u);
  }

  TensorMapCache cache_{4};
};

TEST_F(TensorMapTest, TheDriverGetsTheSpecInnermostFirst) {
  const TensorMap map = must(cache_.get(*hopper_, matrix()));
  std::array<std::uint64_t, 16> words;
  std::memcpy(words.data(), map.bytes.data(), sizeof(words));
  EXPECT_EQ(words[0], 0x10000u);
  EXPECT_EQ(words[1],
            2u | CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 << 8 | CU_TENSOR_MAP_SWIZZLE_128B << 16);
  EXPECT_EQ(words[2], 128u);
  EXPECT_EQ(words[3], 1000u);
  EXPECT_EQ(words[7], 256u) << "the first stride that the driver takes is of dimension 1";
  EXPECT_EQ(words[11], 64u);
  EXPECT_EQ(words[12], 64u);
}

TEST_F(TensorMapTest, EveryElementTypeHasOneOfItsSize) {
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    TensorMapSpec spec = matrix(0x10000 + 0x100u * static_cast<unsigned>(i));
    spec.dtype = dtype;
    spec.stride = {static_cast<std::uint64_t>(size_of(dtype)), 2048};
    spec.box = {16, 16};
    spec.swizzle = Swizzle::kNone;
    EXPECT_TRUE(cache_.get(*hopper_, spec)) << to_string(dtype);
  }
}

TEST_F(TensorMapTest, TheSameSpecIsEncodedOnce) {
  const TensorMap first = must(cache_.get(*hopper_, matrix()));
  const TensorMap second = must(cache_.get(*hopper_, matrix()));
  EXPECT_EQ(first.bytes, second.bytes);
  EXPECT_EQ(cache_.encoded(), 1u);
  EXPECT_EQ(fake_calls("cuTensorMapEncodeTiled"), 1);
}

TEST_F(TensorMapTest, EveryFieldMakesADifferentDescriptor) {
  must(cache_.get(*hopper_, matrix()));
  std::size_t encoded = 1;
  const auto expect_new = [&](auto change) {
    TensorMapSpec spec = matrix();
    change(spec);
    must(cache_.get(*hopper_, spec));
    EXPECT_EQ(cache_.encoded(), ++encoded);
  };
  expect_new([](auto& spec) { spec.address += 16; });
  expect_new([](auto& spec) { spec.dtype = DType::kFloat16; });
  expect_new([](auto& spec) { spec.rank = 1; });
  expect_new([](auto& spec) { spec.shape[1] = 999; });
  expect_new([](auto& spec) { spec.stride[1] = 512; });
  expect_new([](auto& spec) { spec.box[1] = 32; });
  expect_new([](auto& spec) { spec.swizzle = Swizzle::kNone; });
  expect_new([](auto& spec) { spec.fill_nan = true; });
}

TEST_F(TensorMapTest, WhatStandsPastTheRankDoesNotMatter) {
  must(cache_.get(*hopper_, matrix()));
  TensorMapSpec spec = matrix();
  spec.shape[3] = 77;
  spec.stride[4] = 5;
  spec.box[2] = 1000;
  EXPECT_TRUE(cache_.get(*hopper_, spec));
  EXPECT_EQ(cache_.encoded(), 1u);
}

TEST_F(TensorMapTest, TheLeastRecentlyUsedIsForgottenFirst) {
  for (std::uint64_t i = 0; i < 4; ++i) must(cache_.get(*hopper_, matrix(0x1000 * (i + 1))));
  must(cache_.get(*hopper_, matrix(0x1000)));  // used again
  must(cache_.get(*hopper_, matrix(0x9000)));  // takes the place of 0x2000
  must(cache_.get(*hopper_, matrix(0x1000)));  // still there
  EXPECT_EQ(cache_.encoded(), 5u);
  must(cache_.get(*hopper_, matrix(0x2000)));
  EXPECT_EQ(cache_.encoded(), 6u);
}

TEST_F(TensorMapTest, ThreadsShareOneCache) {
  TensorMapCache cache;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      for (std::uint64_t i = 1; i <= 100; ++i) {
        const TensorMap map = must(cache.get(*hopper_, matrix(i * 16)));
        std::uint64_t address = 0;
        std::memcpy(&address, map.bytes.data(), sizeof(address));
        EXPECT_EQ(address, i * 16);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(cache.encoded(), 100u);
}

TEST_F(TensorMapTest, BelowHopperThereAreNone) {
  const auto map = cache_.get(*ampere_, matrix());
  EXPECT_EQ(code_of(map), ErrorCode::kUnsupported);
  EXPECT_CONTAINS(message_of(map), "compute capability 9.0, and the device has 8.0");
}

TEST_F(TensorMapTest, ADriverErrorIsNotRemembered) {
  fake_fail_next("cuTensorMapEncodeTiled", CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(code_of(cache_.get(*hopper_, matrix())), ErrorCode::kDriver);
  EXPECT_TRUE(cache_.get(*hopper_, matrix()));
}

TEST_F(TensorMapTest, ABrokenRuleIsNamed) {
  expect_refused([](auto& spec) { spec.rank = 0; }, "the rank is 0; 1 to 5 are possible");
  expect_refused([](auto& spec) { spec.rank = 6; }, "the rank is 6");
  expect_refused([](auto& spec) { spec.address = 0; }, "the address is 0x0");
  expect_refused([](auto& spec) { spec.address = 0x10008; }, "the address is 0x10008");
  expect_refused([](auto& spec) { spec.shape[1] = 0; }, "shape[1] is 0");
  expect_refused([](auto& spec) { spec.shape[0] = (std::uint64_t{1} << 32) + 1; },
                 "shape[0] is 4294967297; 1 to 2^32");
  expect_refused([](auto& spec) { spec.stride[0] = 4; },
                 "stride[0] is 4 bytes; the innermost dimension is contiguous, so it is the 2");
  expect_refused([](auto& spec) { spec.stride[1] = 264; },
                 "stride[1] is 264 bytes; multiples of 16 below 2^40");
  expect_refused([](auto& spec) { spec.stride[1] = std::uint64_t{1} << 40; }, "stride[1]");
  expect_refused([](auto& spec) { spec.box[1] = 0; }, "box[1] is 0; 1 to 256");
  expect_refused([](auto& spec) { spec.box[1] = 257; }, "box[1] is 257");
  expect_refused([](auto& spec) { spec.box[0] = 4; },
                 "box[0] is 4 elements of bfloat16, 8 bytes; it must be a multiple of 16");
  expect_refused([](auto& spec) { spec.box[0] = 128; },
                 "256 bytes; a 128-byte swizzle takes at most 128");
  expect_refused(
      [](auto& spec) {
        spec.swizzle = Swizzle::k32B;
        spec.box[0] = 24;
      },
      "48 bytes; a 32-byte swizzle takes at most 32");
  expect_refused(
      [](auto& spec) {
        spec.dtype = DType::kInt16;
        spec.fill_nan = true;
      },
      "fill_nan is not possible for int16");
}

TEST_F(TensorMapTest, TheLargestThatTheRulesAllowIsAllowed) {
  TensorMapSpec spec = matrix();
  spec.shape = {std::uint64_t{1} << 32, std::uint64_t{1} << 32};
  spec.stride = {2, (std::uint64_t{1} << 40) - 16};
  spec.box = {256, 256};
  spec.swizzle = Swizzle::kNone;
  EXPECT_TRUE(cache_.get(*hopper_, spec));
}

}  // namespace
}  // namespace fms

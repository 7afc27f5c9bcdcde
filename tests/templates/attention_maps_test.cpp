// How attention::forward() has the copy engine reach arrays: on the fake driver.

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numbers>
#include <string>
#include <vector>

#include "runtime/ops/attention.h"
#include "tests/templates/attention_forward_fixture.h"

namespace fms::attention {
namespace {

class AttentionMapsTest : public AttentionForwardTest {};

// What the fake driver makes of a description of four dimensions.
struct FakeTensorMap {
  std::uint64_t address, kind, shape[5], stride[4], box[5];

  explicit FakeTensorMap(const std::vector<std::byte>& bytes) {
    EXPECT_EQ(bytes.size(), 128u);
    std::memcpy(this, bytes.data(), sizeof *this);
  }
  std::vector<std::uint64_t> numbers() const {
    std::vector<std::uint64_t> all(shape, shape + 4);
    all.insert(all.end(), stride, stride + 3);
    all.insert(all.end(), box, box + 4);
    return all;
  }
};

TEST_F(AttentionMapsTest, OnHopperTheKernelIsGivenDescriptionsOfTheArrays) {
  Arguments given = arguments();
  given.k = reinterpret_cast<const void*>(0x20000);
  given.v = reinterpret_cast<const void*>(0x30000);
  must_succeed(run(given));
  ASSERT_EQ(fake_launches().size(), 1u);
  const FakeLaunch launch = fake_launches()[0];
  const Plan made = must(plan(problem_, device_->info()));
  EXPECT_EQ(launch.kernel, "attention_forward_sm90");
  EXPECT_EQ(launch.grid, made.config.grid);
  EXPECT_EQ(launch.block, made.config.block);
  EXPECT_EQ(launch.dynamic_smem_bytes, made.config.dynamic_smem_bytes);
  ASSERT_EQ(launch.arguments.size(), 13u);
  using Numbers = std::vector<std::uint64_t>;
  const FakeTensorMap q(launch.arguments[0]), k(launch.arguments[1]), v(launch.arguments[2]);
  EXPECT_EQ(q.address, 0x10000u);
  EXPECT_EQ(k.address, 0x20000u);
  EXPECT_EQ(v.address, 0x30000u);
  EXPECT_EQ(q.numbers(), (Numbers{64, 100, 4, 2, 128, 12800, 51200, 64, 128, 1, 1}));
  EXPECT_EQ(k.numbers(), (Numbers{64, 50, 2, 2, 128, 6400, 12800, 64, 128, 1, 1}));
  EXPECT_EQ(v.numbers(), k.numbers());
  EXPECT_EQ(value_of<std::uint64_t>(launch.arguments[3]), 0x10000u);
  EXPECT_EQ(value_of<std::uint64_t>(launch.arguments[4]), 0u);
  using OutputStrides = std::array<std::int64_t, 3>;
  EXPECT_EQ(value_of<OutputStrides>(launch.arguments[5]), (OutputStrides{25600, 6400, 64}));
  EXPECT_EQ(value_of<int>(launch.arguments[7]), 4);
  EXPECT_EQ(value_of<int>(launch.arguments[8]), 8);
  EXPECT_EQ(value_of<int>(launch.arguments[9]), 100);
  EXPECT_EQ(value_of<int>(launch.arguments[10]), 50);
  EXPECT_FLOAT_EQ(value_of<float>(launch.arguments[11]), 0.125f * std::numbers::log2e_v<float>);
}

TEST_F(AttentionMapsTest, ColumnsThatNoPanelDividesHaveABoxOfTheirOwn) {
  const auto launched = [&](int head_dim, int value_dim) {
    problem_.head_dim = head_dim;
    problem_.value_dim = value_dim;
    Arguments given = arguments();
    given.v_strides = bhsd_strides(problem_.kv_heads, problem_.seq_k, value_dim);
    given.o_strides = bhsd_strides(problem_.heads, problem_.seq_q, value_dim);
    must_succeed(run(given));
    return fake_launches().back();
  };
  using Bytes = std::vector<std::byte>;
  const auto box_of = [](const Bytes& maps, std::size_t map) {
    EXPECT_LE(128 * (map + 1), maps.size());
    const auto first = maps.begin() + static_cast<std::ptrdiff_t>(128 * map);
    return FakeTensorMap(Bytes(first, first + 128)).box[0];
  };
  const FakeLaunch one = launched(40, 24);
  ASSERT_EQ(one.kernel, "attention_forward_sm90");
  EXPECT_EQ(box_of(one.arguments[0], 0), 40u);
  EXPECT_EQ(box_of(one.arguments[1], 0), 40u);
  EXPECT_EQ(box_of(one.arguments[2], 0), 24u);
  compiler_->maps = {256, 256, 128};  // panels of 128 columns are alike
  const FakeLaunch two = launched(72, 128);
  for (const int array : {0, 1}) {
    ASSERT_EQ(two.arguments[array].size(), 256u);
    EXPECT_EQ(box_of(two.arguments[array], 0), 64u);
    EXPECT_EQ(box_of(two.arguments[array], 1), 8u);
  }
  EXPECT_EQ(box_of(two.arguments[2], 0), 64u);
  compiler_->maps = {128, 128, 256};
  problem_.seq_k = 0;
  EXPECT_EQ(launched(128, 72).kernel, "attention_forward_sm90") << "without keys too";
}

TEST_F(AttentionMapsTest, ArraysAreDescribedOnce) {
  must_succeed(run(arguments()));
  const int encoded = fake_calls("cuTensorMapEncodeTiled");
  must_succeed(run(arguments()));
  EXPECT_EQ(fake_calls("cuTensorMapEncodeTiled"), encoded);
}

TEST_F(AttentionMapsTest, ArraysThatDifferInOneThingAreDescribedAsTheyAre) {
  const auto maps_after = [&](auto edit) {
    Arguments given = arguments();
    edit(given);
    must_succeed(run(given));
    const FakeLaunch launch = fake_launches().back();
    return std::array{FakeTensorMap(launch.arguments[0]), FakeTensorMap(launch.arguments[1]),
                      FakeTensorMap(launch.arguments[2])};
  };
  const auto base = maps_after([](Arguments&) {});
  const auto elsewhere =
      maps_after([](Arguments& a) { a.v = reinterpret_cast<const void*>(0x50000); });
  EXPECT_EQ(elsewhere[1].address, base[1].address);
  EXPECT_EQ(elsewhere[2].address, 0x50000u);
  const auto apart = maps_after([](Arguments& a) { a.k_strides.row = 128; });
  EXPECT_EQ(apart[0].numbers(), base[0].numbers());
  EXPECT_EQ(apart[1].stride[0], 256u);
  EXPECT_EQ(apart[2].stride[0], base[2].stride[0]);
  problem_.seq_k -= 1;
  EXPECT_EQ(maps_after([](Arguments&) {})[1].shape[1], base[1].shape[1] - 1);
}

TEST_F(AttentionMapsTest, StridesOfDimensionsOfOneDontCount) {
  problem_.batch = 1;
  problem_.seq_k = 1;
  Arguments given = arguments();
  given.q_strides.batch = given.o_strides.batch = given.k_strides.batch = 3;
  given.k_strides.row = given.v_strides.row = 0;
  must_succeed(run(given));
  ASSERT_EQ(fake_launches().size(), 1u);
  EXPECT_EQ(fake_launches()[0].kernel, "attention_forward_sm90");
}

TEST_F(AttentionMapsTest, WhatTheCopyEngineCantReachIsForOtherKernels) {
  const auto kernel_after = [&](auto edit) {
    Arguments given = arguments();
    edit(given);
    must_succeed(run(given));
    return fake_launches().back().kernel;
  };
  const std::string pointers = "attention_forward_sm80", portable = "attention_forward_simt";
  EXPECT_EQ(kernel_after([](Arguments&) {}), "attention_forward_sm90");
  EXPECT_EQ(kernel_after([](Arguments& a) { a.k_strides.head = 0; }), pointers);
  EXPECT_EQ(kernel_after([](Arguments& a) { a.q_strides.batch *= -1; }), pointers);
  EXPECT_EQ(kernel_after([](Arguments& a) { a.v_strides.batch = std::int64_t{1} << 40; }),
            pointers);
  EXPECT_EQ(kernel_after([](Arguments& a) { a.v_strides.row = 68; }), portable);
  EXPECT_EQ(kernel_after([](Arguments& a) { a.o = static_cast<std::byte*>(a.o) + 8; }), portable);
  EXPECT_EQ(kernel_after([](Arguments& a) { a.scale = -1; }), portable);
  EXPECT_EQ(kernel_after([](Arguments& a) { a.scale = 1e-45f; }), "attention_forward_sm90");
}

}  // namespace
}  // namespace fms::attention

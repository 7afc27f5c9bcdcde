// attention::forward() up to the launch: on the fake driver and with a fake compiler.

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <numbers>
#include <optional>
#include <string>
#include <vector>

#include "runtime/ops/attention.h"
#include "runtime/ops/attention_mods.h"
#include "tests/templates/attention_forward_fixture.h"

namespace fms::attention {
namespace {

constexpr const char* kHidesNothing =
    "struct Mods { int member; bool mask(int, int, int, int) const { return true; } };\n";

TEST_F(AttentionForwardTest, TheLaunchIsThePlansAndTheArgumentsAreTheKernels) {
  problem_.dtype = DType::kFloat32;
  must_succeed(run(arguments()));
  ASSERT_EQ(fake_launches().size(), 1u);
  const FakeLaunch launch = fake_launches()[0];
  const Plan made = must(plan(problem_, device_->info()));
  EXPECT_EQ(launch.kernel, "attention_forward_simt");
  EXPECT_EQ(launch.grid, made.config.grid);
  EXPECT_EQ(launch.block, made.config.block);
  EXPECT_EQ(launch.dynamic_smem_bytes, made.config.dynamic_smem_bytes);
  ASSERT_EQ(launch.arguments.size(), 13u);
  EXPECT_EQ(value_of<std::uint64_t>(launch.arguments[0]), 0x10000u);
  EXPECT_EQ(value_of<std::uint64_t>(launch.arguments[4]), 0u);
  using Layout = std::array<std::int64_t, 12>;
  EXPECT_EQ(value_of<Layout>(launch.arguments[5]),
            (Layout{25600, 6400, 64, 6400, 3200, 64, 6400, 3200, 64, 25600, 6400, 64}));
  EXPECT_EQ(value_of<int>(launch.arguments[7]), 4);
  EXPECT_EQ(value_of<int>(launch.arguments[8]), 8);
  EXPECT_EQ(value_of<int>(launch.arguments[9]), 100);
  EXPECT_EQ(value_of<int>(launch.arguments[10]), 50);
  EXPECT_FLOAT_EQ(value_of<float>(launch.arguments[11]), 0.125f * std::numbers::log2e_v<float>);
}

// The last panel's box is as wide as its columns are.
// The strides of what there is one of mean nothing, and may be what the copy engine can't take.
TEST_F(AttentionForwardTest, ATargetsKernelIsOneOfItsInstructions) {
  remake(Policy::kDynamic, must(Target::parse("sm_90")));
  must_succeed(run(arguments()));
  EXPECT_EQ(fake_launches().back().kernel, "attention_forward_sm80");
}

TEST_F(AttentionForwardTest, TheSameProblemCompilesOnce) {
  must_succeed(run(arguments()));
  must_succeed(run(arguments()));
  EXPECT_EQ(fake_launches().size(), 2u);
  EXPECT_EQ(compiler_->sources.size(), 1u);
}

TEST_F(AttentionForwardTest, ThePolicyDecidesWhetherSizesAreConstants) {
  must_succeed(run(arguments()));
  EXPECT_CONTAINS(compiler_->sources.back(), "fms::Size<fms::kDynamic> kSeqQ");
  remake(Policy::kExact);
  must_succeed(run(arguments()));
  EXPECT_CONTAINS(compiler_->sources.back(), "fms::Size<100> kSeqQ");
}

TEST_F(AttentionForwardTest, NoQueriesLaunchAndCompileNothing) {
  problem_.seq_q = 0;
  must_succeed(run(arguments()));
  problem_.seq_k = 0;
  must_succeed(run({}));  // null pointers, where there is nothing to point at
  EXPECT_TRUE(fake_launches().empty());
  EXPECT_TRUE(compiler_->sources.empty());
}

TEST_F(AttentionForwardTest, NoKeysNeedNoPointersAndAreLaunched) {
  problem_.seq_k = 0;
  Arguments none = arguments();
  none.k = none.v = nullptr;
  must_succeed(run(none));
  EXPECT_EQ(fake_launches().size(), 1u);
}

TEST_F(AttentionForwardTest, RowsThatAreNotAlignedTakeTheVariantThatReadsElements) {
  problem_.dtype = DType::kFloat32;
  must_succeed(run(arguments()));
  EXPECT_CONTAINS(compiler_->sources.back(), "kVectorLoads = true");
  Arguments odd_pointer = arguments();
  odd_pointer.k = static_cast<const std::byte*>(odd_pointer.k) + 4;
  must_succeed(run(odd_pointer));
  EXPECT_CONTAINS(compiler_->sources.back(), "kVectorLoads = false");
  EXPECT_EQ(compiler_->sources.size(), 2u);

  Arguments odd_stride = arguments();
  odd_stride.v_strides.row = 65;
  must_succeed(run(odd_stride));
  EXPECT_EQ(compiler_->sources.size(), 2u);  // the same variant as before
}

TEST_F(AttentionForwardTest, ARunIsRecordedAsItsProblem) {
  must_succeed(run(arguments()));
  must_succeed(run(arguments()));
  EXPECT_EQ(recorded(), to_json_line(to_manifest_entry(problem_)) + "\n");
}

TEST_F(AttentionForwardTest, AVariantThatIsNotTheBestOneIsRecordedAsItsTemplate) {
  Arguments odd = arguments();
  odd.q = static_cast<const std::byte*>(odd.q) + 2;
  must_succeed(run(odd));
  EXPECT_CONTAINS(recorded(), "\"template\":\"attention_forward_simt\"");
  EXPECT_CONTAINS(recorded(), "\"kVectorLoads\":false");
}

TEST_F(AttentionForwardTest, WrongArgumentsAreRefusedByName) {
  EXPECT_EQ(refusal_after([](Arguments& a) { a.k = nullptr; }),
            "can't compute attention: k is null, and has 50 rows");
  EXPECT_CONTAINS(refusal_after([](Arguments& a) { a.q = static_cast<const std::byte*>(a.q) + 1; }),
                  "q is at an address");
  EXPECT_CONTAINS(refusal_after([](Arguments& a) { a.o_strides.row = 32; }), "overlap");
  EXPECT_CONTAINS(refusal_after([](Arguments& a) { a.lse = reinterpret_cast<float*>(0x10000); }),
                  "return_lse is false");
  EXPECT_CONTAINS(refusal_after([](Arguments& a) { a.scale = std::nanf(""); }), "scale is nan");
  problem_.return_lse = true;
  EXPECT_CONTAINS(refusal_after([](Arguments&) {}), "lse is null");
  problem_.head_dim = 300;
  EXPECT_CONTAINS(refusal_after([](Arguments&) {}), "head_dim 300");
}

TEST_F(AttentionForwardTest, WhatBelongsToAnOptionIsGivenWithItAlone) {
  auto* some = reinterpret_cast<float*>(0x10000);
  auto* starts = reinterpret_cast<const std::int32_t*>(0x10000);
  EXPECT_CONTAINS(refusal_after([&](Arguments& a) { a.sinks = some; }), "sinks is given");
  EXPECT_CONTAINS(refusal_after([&](Arguments& a) { a.cu_seqlens_k = starts; }),
                  "cu_seqlens_k is given");
  EXPECT_CONTAINS(refusal_after([&](Arguments& a) { a.mods = some; }), "mods is given");
  EXPECT_CONTAINS(refusal_after([](Arguments& a) { a.softcap = 3; }), "softcap is 3");
  EXPECT_CONTAINS(refusal_after([](Arguments& a) { a.window_left = 3; }), "has no window");
  EXPECT_CONTAINS(refusal_after([](Arguments& a) { a.window_right = -2; }), "window_right is -2");
  EXPECT_CONTAINS(
      refusal_after([&](Arguments& a) { a.block_table = {.counts = starts, .tiles = starts}; }),
      "block_table is given");

  problem_.softcap = true;
  EXPECT_CONTAINS(refusal_after([](Arguments&) {}), "softcap is 0");
  EXPECT_CONTAINS(refusal_after([](Arguments& a) { a.softcap = -1; }), "softcap is -1");
  EXPECT_CONTAINS(refusal_after([](Arguments& a) { a.softcap = std::nanf(""); }), "softcap is nan");
  problem_.softcap = false;
  problem_.sinks = true;
  EXPECT_CONTAINS(refusal_after([](Arguments&) {}), "sinks is null");
  problem_.sinks = false;
  problem_.block_table = true;
  EXPECT_CONTAINS(refusal_after([](Arguments&) {}), "with block_table true: it may be that with");
  problem_.mods = must(Mods::make("m.cuh", kHidesNothing));
  EXPECT_CONTAINS(refusal_after([](Arguments&) {}), "mods has 0 bytes; pass the struct Mods of m");
  problem_.block_table = false;
  problem_.mods = nullptr;
  problem_.packed = true;
  EXPECT_CONTAINS(refusal_after([](Arguments& a) { a.total_q = a.total_k = 5; }),
                  "cu_seqlens_q is null");
  EXPECT_CONTAINS(refusal_after([&](Arguments& a) {
                    a.cu_seqlens_q = a.cu_seqlens_k = starts;
                    a.total_q = -1;
                  }),
                  "total_q is -1");
}

TEST_F(AttentionForwardTest, ABlockTableIsForOneTileAndItsLengths) {
  problem_.dtype = DType::kFloat32;
  problem_.mods = must(Mods::make("m.cuh", kHidesNothing));
  problem_.block_table = true;
  const int member = 0;
  const auto* table = reinterpret_cast<const std::int32_t*>(0x10000);
  const auto with = [&](int block_m, int seq_k) {
    return [=, &member](Arguments& a) {
      a.mods = &member;
      a.mods_bytes = sizeof member;
      a.block_table = {.counts = table,
                       .tiles = table,
                       .block_m = block_m,
                       .block_n = 64,
                       .seq_q = 100,
                       .seq_k = seq_k};
    };
  };
  EXPECT_CONTAINS(refusal_after(with(32, 50)),
                  "it is for 100 queries and 50 keys in tiles of 32 x 64");
  EXPECT_CONTAINS(refusal_after(with(64, 51)), "the call is of 100 and 50 in tiles of 64 x 64");
}

TEST_F(AttentionForwardTest, FunctionsOfTheUsersAreLaunchedWithTheirMembersAndRecordedWhole) {
  problem_.dtype = DType::kFloat32;
  problem_.mods = must(Mods::make("m.cuh", kHidesNothing));
  Arguments given = arguments();
  const int member = 7;
  given.mods = &member;
  given.mods_bytes = sizeof member;
  compiler_->mods_bytes = sizeof member;
  must_succeed(run(given));
  const FakeLaunch launch = fake_launches().back();
  ASSERT_EQ(launch.arguments.size(), 13u);
  EXPECT_EQ(value_of<int>(launch.arguments[12]), 7);
  const Manifest manifest = must(Manifest::parse(recorded()));
  ASSERT_EQ(manifest.entries.size(), 1u);
  EXPECT_EQ(must(from_manifest_entry(manifest.entries[0])), problem_);

  given.q = static_cast<const std::byte*>(given.q) + 4;  // not as the first: it is recorded so
  must_succeed(run(given));
  EXPECT_CONTAINS(recorded(), "\"access\":\"elements\"");

  given.mods_bytes = 2;
  EXPECT_CONTAINS(fms::testing::message_of(run(given)), "has 2 bytes");
}

}  // namespace
}  // namespace fms::attention

#include "runtime/ops/attention_plan.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <tuple>

#include "runtime/ops/attention_sm90.h"

namespace fms::attention {
namespace {

constexpr const char* kTargets[] = {"sm_75",  "sm_80",   "sm_86", "sm_89",
                                    "sm_90a", "sm_100a", "sm_120"};

Target target(const char* arch) { return Target::parse(arch).value(); }

Problem problem(int head_dim = 128) {
  return {.batch = 2,
          .heads = 32,
          .kv_heads = 8,
          .seq_q = 2048,
          .seq_k = 2048,
          .head_dim = head_dim,
          .mask = Mask::kCausal};
}

std::string refusal(const Problem& wrong) {
  const Result<void> result = check(wrong);
  if (result) return "accepted";
  EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(plan(wrong, target("sm_90a")));
  return result.error().message;
}

// A wrong problem, made by one change.
template <typename Edit>
std::string refusal_after(Edit edit) {
  Problem wrong = problem();
  edit(wrong);
  return refusal(wrong);
}

TEST(AttentionCheckTest, TheErrorNamesTheFieldItsValueAndWhatItMayBe) {
  EXPECT_EQ(refusal_after([](Problem& p) { p.head_dim = 257; }),
            "can't compute attention with head_dim 257: it may be 1 to 256");
  EXPECT_EQ(refusal_after([](Problem& p) { p.head_dim = 0; }),
            "can't compute attention with head_dim 0: it may be 1 to 256");
  EXPECT_EQ(refusal_after([](Problem& p) { p.kv_heads = 5; }),
            "can't compute attention with kv_heads 5: it may be any divisor of heads, which is 32");
  EXPECT_EQ(refusal_after([](Problem& p) { p.dtype = DType::kInt8; }),
            "can't compute attention with dtype int8: it may be float32, float16 or bfloat16");
  EXPECT_NE(refusal_after([](Problem& p) { p.seq_q = -1; }).find("seq_q -1"), std::string::npos);
  EXPECT_NE(refusal_after([](Problem& p) { p.seq_k = -7; }).find("seq_k -7"), std::string::npos);
  EXPECT_NE(refusal_after([](Problem& p) { p.batch = 0; }).find("batch 0"), std::string::npos);
  EXPECT_NE(refusal_after([](Problem& p) { p.heads = 0; }).find("heads 0"), std::string::npos);
  EXPECT_NE(refusal_after([](Problem& p) { p.mask = static_cast<Mask>(5); }).find("mask 5"),
            std::string::npos);
}

TEST(AttentionCheckTest, EmptySequencesAreValid) {
  Problem empty = problem();
  empty.seq_q = empty.seq_k = 0;
  EXPECT_TRUE(check(empty));
}

TEST(AttentionPlanTest, EveryHeadDimHasATileOnEveryArchitecture) {
  for (const char* arch : kTargets) {
    for (int head_dim = 1; head_dim <= 256; ++head_dim) {
      for (const int seq_q : {1, 2048}) {
        Problem p = problem(head_dim);
        p.seq_q = seq_q;
        const Result<Plan> made = plan(p, target(arch));
        ASSERT_TRUE(made) << arch << " " << head_dim << ": " << made.error().message;
      }
    }
  }
}

TEST(AttentionPlanTest, TheGridCoversEveryQueryOfEveryHeadOnce) {
  for (const int seq_q : {0, 1, 16, 17, 64, 65, 799}) {
    Problem p = problem(64);
    p.seq_q = seq_q;
    const Plan made = plan(p, target("sm_75")).value();
    const std::int64_t block_m = made.specialization.value("kBlockM").as_integer();
    EXPECT_EQ(made.config.grid.x, 64 * ((seq_q + block_m - 1) / block_m)) << seq_q;
    EXPECT_EQ(made.config.grid.y, 1u);
    EXPECT_EQ(made.config.block.x, made.specialization.value("kThreads").as_integer());
  }
}

TEST(AttentionPlanTest, ThreadsRowsAndKeysDivideEvenly) {
  for (const int smem : {64 << 10, 99 << 10, 163 << 10, 227 << 10}) {
    for (int head_dim = 1; head_dim <= 256; ++head_dim) {
      for (const int seq_q : {1, 100}) {
        Problem p = problem(head_dim);
        p.seq_q = seq_q;
        const Tile tile = choose_tile(p, {.max_smem_per_block_bytes = smem});
        EXPECT_EQ(tile.block_m % (tile.threads / tile.lanes), 0);
        EXPECT_EQ(tile.block_n % tile.lanes, 0);
        EXPECT_LE(smem_bytes(tile, head_dim, head_dim) * tile.blocks, smem);
      }
    }
  }
}

// A new length must not stall its caller: its dynamic variant is one of these few.
TEST(AttentionPlanTest, LengthsAboveAFewQueriesShareOneDynamicVariant) {
  const auto variant = [](int seq_q, int seq_k, int batch) {
    Problem p = problem();
    p.dtype = DType::kFloat32;
    p.seq_q = seq_q;
    p.seq_k = seq_k;
    p.batch = batch;
    return plan(p, target("sm_90a")).value().specialization.dynamic();
  };
  for (const int length : {18, 113, 4096, 1 << 20}) {
    EXPECT_EQ(variant(17, 17, 1), variant(length, 2 * length, 3)) << length;
  }
  EXPECT_EQ(variant(1, 4096, 1), variant(16, 1, 8));
}

TEST(AttentionPlanTest, BatchAndHeadCountsAreNoPartOfTheSpecialisation) {
  Problem other = problem();
  other.batch = 5;
  other.heads = 8;
  other.kv_heads = 2;  // the same ratio
  EXPECT_EQ(plan(problem(), target("sm_90a")).value().specialization,
            plan(other, target("sm_90a")).value().specialization);
}

TEST(AttentionPlanTest, TheSpecialisationSaysWhatWasAsked) {
  Problem p = problem(80);
  p.dtype = DType::kFloat16;
  p.mask = Mask::kCausalTopLeft;
  p.return_lse = true;
  p.seq_k = 99;
  const Specialization s = plan(p, target("sm_75")).value().specialization;
  EXPECT_EQ(s.kernel_template().name(), "attention_forward_simt");
  EXPECT_EQ(s.value("T").as_dtype(), DType::kFloat16);
  EXPECT_EQ(s.value("kHeadDim").as_integer(), 80);
  EXPECT_EQ(s.kernel_template().find_parameter("kMask")->to_string(s.value("kMask")),
            "kCausalTopLeft");
  EXPECT_TRUE(s.value("kReturnLse").as_boolean());
  EXPECT_EQ(s.value("kGroup").as_integer(), 4);
  EXPECT_EQ(s.value("kSeqQ").as_integer(), 2048);
  EXPECT_EQ(s.value("kSeqK").as_integer(), 99);
  EXPECT_TRUE(s.value("kVectorLoads").as_boolean());
}

TEST(AttentionPlanTest, RowsThatAreNoWholeVectorsAreReadByElements) {
  EXPECT_FALSE(
      plan(problem(81), target("sm_80")).value().specialization.value("kVectorLoads").as_boolean());
}

TEST(AttentionPlanTest, ADeviceAndItsTargetHaveTheSamePlan) {
  const DeviceInfo h100{.compute_capability = 90, .max_smem_per_block_bytes = 232448};
  const DeviceInfo a100{.compute_capability = 80, .max_smem_per_block_bytes = 166912};
  const DeviceInfo t4{.compute_capability = 75, .max_smem_per_block_bytes = 65536};
  for (const int head_dim : {40, 64, 96, 128, 192, 256}) {
    const Problem p = problem(head_dim);
    EXPECT_EQ(plan(p, h100).value().specialization,
              plan(p, target("sm_90a")).value().specialization);
    EXPECT_EQ(plan(p, a100).value().specialization,
              plan(p, target("sm_80")).value().specialization);
    EXPECT_EQ(plan(p, t4).value().specialization, plan(p, target("sm_75")).value().specialization);
  }
}

TEST(AttentionPlanTest, AGridThatIsTooLargeIsRefusedWithItsSize) {
  Problem huge = problem(64);
  huge.batch = 1 << 20;
  huge.seq_q = 1 << 20;
  const Result<Plan> made = plan(huge, target("sm_90a"));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(made.error().message.find("split the batch"), std::string::npos);
}

TEST(AttentionPlanTest, OnACpuEveryHeadDimHasATileThatDividesEvenly) {
  for (int head_dim = 1; head_dim <= 256; ++head_dim) {
    for (const int seq_q : {1, 2048}) {
      Problem p = problem(head_dim);
      p.seq_q = seq_q;
      const Result<Plan> made = plan(p, target("cpu:x86-64-v3"));
      ASSERT_TRUE(made) << head_dim << ": " << made.error().message;
      const Tile tile = choose_tile(p, room_of(DeviceInfo{}));
      EXPECT_EQ(tile.block_m % (tile.threads / tile.lanes), 0);
      EXPECT_EQ(tile.block_n % tile.lanes, 0);
    }
  }
}

TEST(AttentionPlanTest, ACpuAndItsTargetsHaveTheSamePlan) {
  const DeviceInfo cpu{.ordinal = -1, .max_smem_per_block_bytes = 1 << 20};
  for (const int head_dim : {40, 64, 96, 128, 192, 256}) {
    const Specialization own = plan(problem(head_dim), cpu).value().specialization;
    for (const char* name : {"cpu:x86-64-v2", "cpu:x86-64-v4", "cpu:znver4"}) {
      EXPECT_EQ(plan(problem(head_dim), target(name)).value().specialization, own);
    }
  }
}

TEST(AttentionStridesTest, PackedArraysHaveTheStridesOfTheirShape) {
  const Strides strides = bhsd_strides(3, 5, 7);
  EXPECT_EQ(std::tuple(strides.batch, strides.head, strides.row), std::tuple(105, 35, 7));
  EXPECT_EQ(bhsd_strides(1 << 10, 1 << 20, 256).batch, std::int64_t{1} << 38);
}

}  // namespace
}  // namespace fms::attention

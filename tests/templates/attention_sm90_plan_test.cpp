// Which problems attention_forward_sm90 computes, by which tile and grid.

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "runtime/ops/attention_mods.h"
#include "runtime/ops/attention_sm90.h"

namespace fms::attention {
namespace {

const Target kHopper{Target::Kind::kCuda, "sm_90a"};
constexpr Mask kMasks[] = {Mask::kFull, Mask::kCausal, Mask::kCausalTopLeft};

Problem problem(int head_dim = 128, Mask mask = Mask::kFull) {
  return {.batch = 2,
          .heads = 32,
          .kv_heads = 8,
          .seq_q = 2048,
          .seq_k = 2048,
          .head_dim = head_dim,
          .mask = mask};
}

std::string template_of(const Problem& p, const Target& target = kHopper) {
  return plan(p, target).value().specialization.kernel_template().name();
}

std::shared_ptr<const Mods> some_mods() {
  return Mods::make("mods.cuh",
                    "struct Mods {\n"
                    "  __device__ bool mask(int, int, int query, int key) const {\n"
                    "    return query % 3 == key % 3;\n"
                    "  }\n"
                    "};\n")
      .value();
}

std::string value_of(const Specialization& s, std::string_view name) {
  return s.kernel_template().find_parameter(name)->to_string(s.value(name));
}

TEST(AttentionSm90PlanTest, SixteenBitTypesAndHeadDimsInEightsAreForTheTensorCores) {
  for (int head_dim = 1; head_dim <= 256; ++head_dim) {
    EXPECT_EQ(template_of(problem(head_dim)),
              head_dim % 8 == 0 ? "attention_forward_sm90" : "attention_forward_simt")
        << head_dim;
  }
  Problem p = problem();
  p.dtype = DType::kFloat16;
  EXPECT_EQ(template_of(p), "attention_forward_sm90");
  p.dtype = DType::kFloat32;
  EXPECT_EQ(template_of(p), "attention_forward_simt");
}

TEST(AttentionSm90PlanTest, EveryOptionIsForTheTensorCores) {
  const auto with = [](auto change) {
    Problem p = problem();
    change(p);
    return template_of(p);
  };
  const std::string name = "attention_forward_sm90";
  EXPECT_EQ(with([](Problem& p) { p.mask = Mask::kWindow; }), name);
  EXPECT_EQ(with([](Problem& p) { p.mask = Mask::kWindowTopLeft; }), name);
  EXPECT_EQ(with([](Problem& p) { p.softcap = true; }), name);
  EXPECT_EQ(with([](Problem& p) { p.sinks = true; }), name);
  EXPECT_EQ(with([](Problem& p) { p.packed = true; }), name);
  EXPECT_EQ(with([](Problem& p) { p.value_dim = 64; }), name);
  EXPECT_EQ(with([](Problem& p) { p.value_dim = 68; }), "attention_forward_simt");
  EXPECT_EQ(with([](Problem& p) { p.mods = some_mods(); }), name);
  EXPECT_EQ(with([](Problem& p) {
              p.mods = some_mods();
              p.block_table = true;
            }),
            name);
}

TEST(AttentionSm90PlanTest, OnlyTheTargetWithTheSuffixHasTheInstructions) {
  for (const char* other : {"sm_80", "sm_90", "sm_100a", "sm_120", "cpu:x86-64-v3"}) {
    EXPECT_NE(template_of(problem(), Target::parse(other).value()), "attention_forward_sm90")
        << other;
  }
}

TEST(AttentionSm90PlanTest, ADevicesPlanIsItsTargets) {
  const DeviceInfo h100{
      .compute_capability = 90, .sm_count = 132, .max_smem_per_block_bytes = 232448};
  const DeviceInfo b200{
      .compute_capability = 100, .sm_count = 148, .max_smem_per_block_bytes = 232448};
  for (const Mask mask : kMasks) {
    const Plan own = plan(problem(64, mask), h100).value();
    const Plan targets = plan(problem(64, mask), kHopper).value();
    EXPECT_EQ(own.specialization, targets.specialization);
    EXPECT_EQ(own.config.grid, targets.config.grid);
  }
  EXPECT_NE(plan(problem(), b200).value().specialization.kernel_template().name(),
            "attention_forward_sm90");
}

TEST(AttentionSm90PlanTest, TheTileIsTheOneThatWasMeasuredBest) {
  struct Known {
    int head_dim;
    Mask mask;
    bool lse;
    int seq_k;
    const char *block_n, *stages, *query_stages;
    const char *query_registers, *ping_pong, *unrolled, *sum_column, *hold_by_store;
    std::uint32_t smem;
  };
  constexpr Mask kFull = Mask::kFull, kCausal = Mask::kCausal;
  const char *const yes = "true", *const no = "false";
  const Known all[] = {
      {64, kFull, false, 2048, "128", "4", "2", yes, no, yes, yes, yes, 229568},
      {64, kCausal, false, 2048, "128", "4", "2", yes, no, yes, yes, no, 229568},
      {64, kFull, true, 2048, "128", "4", "2", yes, yes, yes, no, yes, 164032},
      {64, kCausal, true, 2048, "128", "4", "2", yes, no, yes, no, no, 164032},
      {32, kFull, false, 2048, "128", "4", "2", no, no, yes, no, no, 164032},
      {40, kFull, false, 2048, "128", "4", "2", yes, no, yes, no, no, 164032},
      {48, kFull, false, 2048, "128", "4", "2", no, no, yes, no, yes, 164032},
      {48, kCausal, false, 2048, "128", "4", "2", yes, no, yes, no, no, 164032},
      {56, kFull, false, 2048, "128", "4", "2", no, yes, yes, no, yes, 164032},
      {128, kFull, false, 2048, "128", "2", "2", no, yes, yes, no, no, 196736},
      {72, kCausal, true, 2048, "128", "2", "2", no, yes, yes, no, no, 196736},
      {128, kFull, false, 512, "64", "5", "2", no, yes, no, no, no, 229600},
      {128, kCausal, false, 512, "64", "4", "2", no, yes, no, no, no, 196800},
      {192, kFull, false, 2048, "64", "2", "1", no, yes, yes, no, no, 147568},
      {256, kCausal, false, 2048, "64", "2", "1", no, yes, no, no, no, 196720},
  };
  for (const Known& known : all) {
    Problem p = problem(known.head_dim, known.mask);
    p.return_lse = known.lse;
    p.seq_k = known.seq_k;
    const Plan made = plan(p, kHopper).value();
    const Specialization& s = made.specialization;
    SCOPED_TRACE(s.to_string());
    EXPECT_EQ(value_of(s, "kBlockN"), known.block_n);
    EXPECT_EQ(value_of(s, "kStages"), known.stages);
    EXPECT_EQ(value_of(s, "kQueryStages"), known.query_stages);
    EXPECT_EQ(value_of(s, "kQueryRegisters"), known.query_registers);
    EXPECT_EQ(value_of(s, "kPingPong"), known.ping_pong);
    EXPECT_EQ(value_of(s, "kUnrolled"), known.unrolled);
    EXPECT_EQ(value_of(s, "kSumColumn"), known.sum_column);
    EXPECT_EQ(value_of(s, "kHoldByStore"), known.hold_by_store);
    EXPECT_EQ(value_of(s, "kSchedule"), known.mask == kFull ? "kSnake" : "kPairs");
    EXPECT_EQ(value_of(s, "kMaxLag"), "8");
    EXPECT_EQ(made.config.dynamic_smem_bytes, known.smem);
    EXPECT_EQ(made.config.block, (Dim3{384, 1, 1}));
  }
}

TEST(AttentionSm90PlanTest, TheDynamicVariantHasTheTileOfTheExactOne) {
  const Specialization s = plan(problem(64), kHopper).value().specialization;
  EXPECT_EQ(value_of(s, "kPingPong"), "false");
  EXPECT_EQ(value_of(s, "kPingPongDynamic"), "true") << "is faster there, and the same bits";
  EXPECT_TRUE(choose_sm90_tile(problem(48)).ping_pong_dynamic);
}

TEST(AttentionSm90PlanTest, NumbersOfKeysThatPtxasCantTakeAreArguments) {
  const auto keys = [](int head_dim, int seq_k) {
    Problem p = problem(head_dim);
    p.seq_k = seq_k;
    return value_of(plan(p, kHopper).value().specialization, "kSeqK");
  };
  EXPECT_EQ(keys(16, 799), "dynamic");
  EXPECT_EQ(keys(16, 1024), "1024");
  EXPECT_EQ(keys(24, 799), "799");
}

TEST(AttentionSm90PlanTest, ATileIsChosenForBothDims) {
  const auto tile = [](int head_dim, int value_dim) {
    Problem p = problem(head_dim);
    p.value_dim = value_dim;
    return choose_sm90_tile(p);
  };
  EXPECT_EQ(tile(64, 128), tile(128, 128));
  EXPECT_EQ(tile(128, 64), tile(128, 128));
  EXPECT_EQ(tile(192, 128).block_n, 128) << "of DeepSeek-V3";
  EXPECT_EQ(tile(128, 192), tile(192, 192));
  EXPECT_EQ(tile(64, 256), tile(256, 256));
  EXPECT_FALSE(tile(64, 32).sum_column) << "it follows whole panels of values";
}

TEST(AttentionSm90PlanTest, ScoresThatGoThroughMoreHaveTilesOfTheirOwn) {
  Problem p = problem(64);
  p.softcap = true;
  EXPECT_TRUE(choose_sm90_tile(p).ping_pong);
  EXPECT_TRUE(choose_sm90_tile(p).query_registers);
  EXPECT_EQ(value_of(plan(p, kHopper).value().specialization, "kTanhApprox"), "true");
  p.dtype = DType::kFloat16;
  EXPECT_EQ(value_of(plan(p, kHopper).value().specialization, "kTanhApprox"), "false")
      << "2^-11 would show";
  p.mods = some_mods();
  EXPECT_FALSE(choose_sm90_tile(p).query_registers) << "functions need registers";
}

TEST(AttentionSm90PlanTest, BiasesThatCanBeCopiedAsTilesHaveRoomUpToHeadDim128) {
  Problem p = problem(128);
  p.mods = Mods::make("bias.cuh",
                      "struct Mods {\n"
                      "  const T* bias_row(int batch, int head, int query) const;\n"
                      "  const fms::TensorMap& bias_map() const;\n"
                      "};\n")
               .value();
  for (int head_dim = 8; head_dim <= 256; head_dim += 8) {
    for (const int seq_k : {512, 2048}) {
      for (const Mask mask : kMasks) {
        p.head_dim = head_dim;
        p.seq_k = seq_k;
        p.mask = mask;
        const Sm90Tile tile = choose_sm90_tile(p);
        EXPECT_EQ(tile.bias_stages, head_dim > 128 ? 0 : head_dim > 64 && seq_k > 512 ? 2 : 4);
        EXPECT_LE(smem_bytes(tile, head_dim, head_dim), 227 << 10) << head_dim;
      }
    }
  }
  p.mods = some_mods();
  EXPECT_EQ(choose_sm90_tile(p).bias_stages, 0);
}

TEST(AttentionSm90PlanTest, TilesInAWindowAreAlikeAndNeedNoPairs) {
  const Plan made = plan(problem(128, Mask::kWindow), kHopper).value();
  EXPECT_EQ(value_of(made.specialization, "kSchedule"), "kSnake");
  EXPECT_EQ(made.config.grid, (Dim3{132, 1, 1}));
}

TEST(AttentionSm90PlanTest, TilesOfATableAreInPairsWithHeadDimsOver64) {
  Problem p = problem(128);
  p.mods = some_mods();
  p.block_table = true;
  const auto schedule = [&] {
    return value_of(plan(p, kHopper).value().specialization, "kSchedule");
  };
  EXPECT_EQ(schedule(), "kPairs");
  p.head_dim = 64;
  EXPECT_EQ(schedule(), "kSnake");
  EXPECT_FALSE(choose_sm90_tile(p).ping_pong);
  p.mask = Mask::kCausal;
  EXPECT_EQ(schedule(), "kPairs");
}

TEST(AttentionSm90PlanTest, PackedSequencesShareAVariantWhateverTheLongest) {
  Problem p = problem();
  p.packed = true;
  const Specialization s = plan(p, kHopper).value().specialization;
  EXPECT_EQ(value_of(s, "kPacked"), "true");
  EXPECT_EQ(s, s.dynamic());
  p.seq_q = p.seq_k = 100;
  EXPECT_EQ(s, plan(p, kHopper).value().specialization);
}

TEST(AttentionSm90PlanTest, TheSpecialisationSaysWhatWasAsked) {
  Problem p = problem(80, Mask::kCausalTopLeft);
  p.dtype = DType::kFloat16;
  p.return_lse = true;
  p.seq_k = 999;
  const Specialization s = plan(p, kHopper).value().specialization;
  EXPECT_EQ(value_of(s, "T"), "float16");
  EXPECT_EQ(value_of(s, "kHeadDim"), "80");
  EXPECT_EQ(value_of(s, "kMask"), "kCausalTopLeft");
  EXPECT_EQ(value_of(s, "kReturnLse"), "true");
  EXPECT_EQ(value_of(s, "kGroup"), "4");
  EXPECT_EQ(value_of(s, "kSeqQ"), "2048");
  EXPECT_EQ(value_of(s, "kSeqK"), "999");
  EXPECT_EQ(value_of(s, "kMaxLag"), "4") << "float16 has fewer exponents";
}

TEST(AttentionSm90PlanTest, EveryTileFitsInSharedMemory) {
  for (int head_dim = 8; head_dim <= 256; head_dim += 8) {
    for (const Mask mask : kMasks) {
      for (const int seq_k : {1, 512, 513, 4096}) {
        Problem p = problem(head_dim, mask);
        p.seq_k = seq_k;
        for (int value_dim = 8; value_dim <= 256; value_dim += 8) {
          p.value_dim = value_dim;
          EXPECT_LE(smem_bytes(choose_sm90_tile(p), head_dim, value_dim), 227 << 10)
              << head_dim << " and " << value_dim;
        }
      }
    }
  }
}

// A new length must not stall its caller: its dynamic variant is one of two.
TEST(AttentionSm90PlanTest, LengthsShareADynamicVariantForFewKeysAndOneForMore) {
  const auto variant = [](int head_dim, int seq_q, int seq_k, int batch) {
    Problem p = problem(head_dim, Mask::kCausal);
    p.seq_q = seq_q;
    p.seq_k = seq_k;
    p.batch = batch;
    return plan(p, kHopper).value().specialization.dynamic();
  };
  for (const int length : {513, 799, 4096, 1 << 20}) {
    EXPECT_EQ(variant(128, 600, 600, 1), variant(128, length, 2 * length, 3)) << length;
    EXPECT_EQ(variant(128, 600, 600, 1), variant(128, 17, length, 3)) << length;
  }
  for (const int length : {0, 1, 113, 512}) {
    EXPECT_EQ(variant(128, 300, 300, 1), variant(128, 2048, length, 3)) << length;
    EXPECT_EQ(variant(64, 600, 600, 1), variant(64, 2048, length, 3)) << "has one for all";
    EXPECT_EQ(variant(256, 600, 600, 1), variant(256, 2048, length, 3)) << "has one for all";
  }
}

// The rows of a warpgroup would be empty. attention_sm80_plan_test.cpp has their plan.
TEST(AttentionSm90PlanTest, FewRowsAreForTheOtherKernel) {
  const auto kernel = [](int seq_q, int kv_heads, Mask mask = Mask::kFull) {
    Problem p = problem(128, mask);
    p.seq_q = seq_q;
    p.kv_heads = kv_heads;
    return template_of(p);
  };
  const std::string other = "attention_forward_sm80", own = "attention_forward_sm90";
  EXPECT_EQ(kernel(1, 8), other);
  EXPECT_EQ(kernel(16, 8), other) << "64 rows";
  EXPECT_EQ(kernel(17, 8), own);
  EXPECT_EQ(kernel(16, 32), other);
  EXPECT_EQ(kernel(16, 4), own) << "128 rows";
  EXPECT_EQ(kernel(1, 8, Mask::kCausal), other);
}

TEST(AttentionSm90PlanTest, BatchHeadCountsAndSmsAreNoPartOfTheSpecialisation) {
  Problem other = problem();
  other.batch = 5;
  other.heads = 8;
  other.kv_heads = 2;  // the same ratio
  const DeviceInfo few_sms{
      .compute_capability = 90, .sm_count = 16, .max_smem_per_block_bytes = 232448};
  EXPECT_EQ(plan(problem(), kHopper).value().specialization,
            plan(other, few_sms).value().specialization);
}

Dim3 grid(int heads, int seq_q, Mask mask) {
  Problem p = problem(64, mask);
  p.batch = 1;
  p.heads = p.kv_heads = heads;
  p.seq_q = seq_q;
  return plan(p, kHopper).value().config.grid;
}

TEST(AttentionSm90PlanTest, TheGridIsATileEachUpToTheSmsOfTheDevice) {
  EXPECT_EQ(grid(1, 17, Mask::kFull), (Dim3{1, 1, 1}));
  EXPECT_EQ(grid(1, 128, Mask::kFull), (Dim3{1, 1, 1}));
  EXPECT_EQ(grid(3, 129, Mask::kFull), (Dim3{6, 1, 1}));
  EXPECT_EQ(grid(132, 128, Mask::kFull), (Dim3{132, 1, 1}));
  EXPECT_EQ(grid(133, 128, Mask::kFull), (Dim3{132, 1, 1}));
}

TEST(AttentionSm90PlanTest, UnderAMaskItIsAPairEachUnlessThereIsAnSmForEachTile) {
  EXPECT_EQ(grid(1, 17, Mask::kCausal), (Dim3{1, 2, 1}));
  EXPECT_EQ(grid(8, 1024, Mask::kCausal), (Dim3{32, 2, 1}));
  EXPECT_EQ(grid(66, 256, Mask::kCausalTopLeft), (Dim3{66, 2, 1}));
  EXPECT_EQ(grid(67, 256, Mask::kCausal), (Dim3{67, 1, 1}));
  EXPECT_EQ(grid(200, 256, Mask::kCausal), (Dim3{132, 1, 1}));
}

TEST(AttentionSm90PlanTest, MoreTilesThanAScheduleCountsAreRefused) {
  Problem huge = problem(64);
  huge.batch = 1 << 20;
  huge.seq_q = 1 << 20;
  for (const Mask mask : kMasks) {
    huge.mask = mask;
    const Result<Plan> made = plan(huge, kHopper);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, ErrorCode::kUnsupported);
    EXPECT_NE(made.error().message.find("split the batch"), std::string::npos);
  }
}

TEST(AttentionSm90PlanTest, ArraysThatCantBeCopiedInBulkHaveThePlanOfOtherTargets) {
  const Room hopper = room_of(kHopper);
  const Room portable = room_of(Target::parse("sm_90").value());
  for (const Access access : {Access::kElements, Access::kVectors, Access::kUnits}) {
    const ForwardPlan made = plan_with(problem(), hopper, access).value();
    EXPECT_EQ(made.plan.specialization,
              plan_with(problem(), portable, access).value().plan.specialization);
    EXPECT_EQ(made.key_rows, 0);
  }
  const ForwardPlan bulk = plan_with(problem(), hopper, Access::kBulk).value();
  EXPECT_EQ(bulk.query_rows, 128);
  EXPECT_EQ(bulk.key_rows, 128);
  EXPECT_EQ(best_access(problem(), hopper), Access::kBulk);
  EXPECT_EQ(best_access(problem(), portable), Access::kUnits);
  EXPECT_EQ(best_access(problem(81), hopper), Access::kElements);
}

}  // namespace
}  // namespace fms::attention

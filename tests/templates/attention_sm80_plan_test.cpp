// Which problems attention_forward_sm80 computes, by which tile and grid.

#include <gtest/gtest.h>

#include <string>

#include "runtime/ops/attention_mods.h"
#include "runtime/ops/attention_sm80.h"

namespace fms::attention {
namespace {

const char* const kTensorCoreTargets[] = {"sm_80", "sm_86",  "sm_87",  "sm_89",
                                          "sm_90", "sm_100", "sm_120", "sm_120a"};

Target target(const char* name) { return Target::parse(name).value(); }

Problem problem(int head_dim = 128, Mask mask = Mask::kFull) {
  return {.batch = 2,
          .heads = 32,
          .kv_heads = 8,
          .seq_q = 2048,
          .seq_k = 2048,
          .head_dim = head_dim,
          .mask = mask};
}

std::string template_of(const Problem& p, const Target& target) {
  return plan(p, target).value().specialization.kernel_template().name();
}

std::string value_of(const Specialization& s, std::string_view name) {
  return s.kernel_template().find_parameter(name)->to_string(s.value(name));
}

TEST(AttentionSm80PlanTest, SixteenBitTypesAndDimsInEightsAreForTheTensorCores) {
  for (int head_dim = 1; head_dim <= 256; ++head_dim) {
    EXPECT_EQ(template_of(problem(head_dim), target("sm_80")),
              head_dim % 8 == 0 ? "attention_forward_sm80" : "attention_forward_simt")
        << head_dim;
  }
  Problem p = problem();
  p.value_dim = 40;
  EXPECT_EQ(template_of(p, target("sm_80")), "attention_forward_sm80");
  p.value_dim = 41;
  EXPECT_EQ(template_of(p, target("sm_80")), "attention_forward_simt");
  p = problem();
  p.dtype = DType::kFloat16;
  EXPECT_EQ(template_of(p, target("sm_80")), "attention_forward_sm80");
  p.dtype = DType::kFloat32;
  EXPECT_EQ(template_of(p, target("sm_80")), "attention_forward_simt");
}

TEST(AttentionSm80PlanTest, ArchitecturesThatHaveTheInstructionsUseThem) {
  for (const char* name : kTensorCoreTargets) {
    EXPECT_EQ(template_of(problem(), target(name)), "attention_forward_sm80") << name;
  }
  EXPECT_EQ(template_of(problem(), target("sm_75")), "attention_forward_simt");
  EXPECT_EQ(template_of(problem(), target("cpu:x86-64-v3")), "attention_forward_simt");
}

TEST(AttentionSm80PlanTest, EveryOptionIsTaken) {
  Problem p = problem(64, Mask::kWindowTopLeft);
  p.softcap = p.sinks = p.packed = p.return_lse = true;
  const Specialization s = plan(p, target("sm_86")).value().specialization;
  EXPECT_EQ(s.kernel_template().name(), "attention_forward_sm80");
  EXPECT_EQ(value_of(s, "kMask"), "kWindowTopLeft");
  for (const char* option : {"kSoftcap", "kSinks", "kPacked", "kReturnLse"}) {
    EXPECT_EQ(value_of(s, option), "true") << option;
  }
  EXPECT_EQ(value_of(s, "kGroup"), "4");
  EXPECT_EQ(value_of(s, "kMaxLag"), "8");
  p.dtype = DType::kFloat16;
  EXPECT_EQ(value_of(plan(p, target("sm_86")).value().specialization, "kMaxLag"), "4")
      << "float16 has fewer exponents";
}

TEST(AttentionSm80PlanTest, ADevicesPlanIsItsTargets) {
  const DeviceInfo a100{.compute_capability = 80, .max_smem_per_block_bytes = 166912};
  const DeviceInfo rtx4090{.compute_capability = 89, .max_smem_per_block_bytes = 101376};
  const DeviceInfo b200{.compute_capability = 100, .max_smem_per_block_bytes = 232448};
  for (int head_dim = 8; head_dim <= 256; head_dim += 8) {
    const Problem p = problem(head_dim);
    EXPECT_EQ(plan(p, a100).value().specialization,
              plan(p, target("sm_80")).value().specialization);
    EXPECT_EQ(plan(p, rtx4090).value().specialization,
              plan(p, target("sm_89")).value().specialization);
    EXPECT_EQ(plan(p, b200).value().specialization,
              plan(p, target("sm_100")).value().specialization);
  }
}

TEST(AttentionSm80PlanTest, EveryTileFitsInSharedMemory) {
  for (const char* name : kTensorCoreTargets) {
    const Room room = room_of(target(name));
    for (int head_dim = 8; head_dim <= 256; head_dim += 8) {
      for (int value_dim = 8; value_dim <= 256; value_dim += 8) {
        for (const bool softcap : {false, true}) {
          for (const int seq_q : {1, 2048}) {
            Problem p = problem(head_dim);
            p.value_dim = value_dim;
            p.softcap = softcap;
            p.seq_q = seq_q;
            const Sm80Tile tile = choose_sm80_tile(p, room);
            EXPECT_LE(smem_bytes(tile, head_dim, value_dim), room.max_smem_per_block_bytes)
                << name << " " << head_dim << " " << value_dim;
            EXPECT_EQ(tile.block_n % (16 * tile.key_warps), 0);
            EXPECT_TRUE(tile.stages > 1 || !tile.overlap);
          }
        }
      }
    }
  }
}

TEST(AttentionSm80PlanTest, TheTileIsTheOneThatWasMeasuredBest) {
  struct Known {
    const char* target;
    int head_dim;
    const char *row_tiles, *block_n, *stages, *overlap, *query_registers;
    std::uint32_t smem;
  };
  const char *const yes = "true", *const no = "false";
  const Known all[] = {
      {"sm_90", 64, "2", "48", "2", yes, yes, 46080},
      {"sm_90", 96, "2", "48", "2", yes, no, 66560},
      {"sm_90", 128, "2", "48", "2", no, no, 87040},
      {"sm_90", 192, "1", "96", "1", no, no, 102400},
      {"sm_90", 256, "1", "64", "1", no, no, 101376},
      {"sm_80", 64, "2", "48", "2", yes, yes, 46080},
      {"sm_80", 128, "2", "32", "2", no, no, 69632},
      {"sm_80", 256, "1", "32", "1", no, no, 67584},
      {"sm_86", 64, "2", "48", "2", yes, yes, 46080},
      {"sm_86", 128, "1", "48", "1", no, no, 43520},
      {"sm_86", 256, "1", "32", "1", no, no, 67584},
  };
  for (const Known& known : all) {
    const Plan made = plan(problem(known.head_dim), target(known.target)).value();
    const Specialization& s = made.specialization;
    SCOPED_TRACE(std::string(known.target) + " " + s.to_string());
    EXPECT_EQ(value_of(s, "kRowTiles"), known.row_tiles);
    EXPECT_EQ(value_of(s, "kBlockN"), known.block_n);
    EXPECT_EQ(value_of(s, "kStages"), known.stages);
    EXPECT_EQ(value_of(s, "kOverlap"), known.overlap);
    EXPECT_EQ(value_of(s, "kQueryRegisters"), known.query_registers);
    EXPECT_EQ(made.config.dynamic_smem_bytes, known.smem);
    EXPECT_EQ(made.config.block, (Dim3{128, 1, 1}));
  }
}

TEST(AttentionSm80PlanTest, ChangedScoresHaveATileWithRegistersToSpare) {
  Problem p = problem(128);
  p.softcap = true;
  EXPECT_EQ(choose_sm80_tile(p, room_of(target("sm_90"))).block_n, 32);
  p.softcap = false;
  p.mods = Mods::make("own.cuh", "struct Mods {};").value();
  EXPECT_EQ(choose_sm80_tile(p, room_of(target("sm_90"))).block_n, 32);
}

// A new length must not stall its caller: its dynamic variant is one of two.
TEST(AttentionSm80PlanTest, LengthsAboveAFewQueriesShareOneDynamicVariant) {
  const auto variant = [](int seq_q, int seq_k, int batch) {
    Problem p = problem(128, Mask::kCausal);
    p.seq_q = seq_q;
    p.seq_k = seq_k;
    p.batch = batch;
    return plan(p, target("sm_80")).value().specialization.dynamic();
  };
  for (const int length : {17, 113, 4096, 1 << 20}) {
    EXPECT_EQ(variant(600, 600, 1), variant(length, 2 * length, 3)) << length;
  }
  EXPECT_EQ(variant(1, 4096, 1), variant(16, 1, 8));
}

TEST(AttentionSm80PlanTest, TheGridIsOfTilesHeadsAndTheBatch) {
  Problem p = problem(64);
  p.seq_q = 129;
  EXPECT_EQ(plan(p, target("sm_80")).value().config.grid, (Dim3{2, 32, 2}));
}

TEST(AttentionSm80PlanTest, FewQueriesOfHeadsThatShareKeysAreRowsOfATile) {
  Problem p = problem(128, Mask::kCausal);
  p.seq_q = 3;
  const Plan made = plan(p, target("sm_80")).value();
  EXPECT_EQ(value_of(made.specialization, "kPackGroup"), "true");
  EXPECT_EQ(value_of(made.specialization, "kKeyWarps"), "4");
  EXPECT_EQ(made.config.grid, (Dim3{1, 8, 2})) << "12 rows, heads of keys, batch";
  p.seq_q = 5;
  EXPECT_EQ(plan(p, target("sm_80")).value().config.grid, (Dim3{2, 8, 2})) << "20 rows";
  p.mods = Mods::make("own.cuh", "struct Mods {};").value();
  p.block_table = true;
  EXPECT_EQ(value_of(plan(p, target("sm_80")).value().specialization, "kPackGroup"), "false")
      << "rows of a table are of one head";
  p = problem(128, Mask::kCausal);
  p.seq_q = 5;
  p.kv_heads = p.heads;
  const Plan alone = plan(p, target("sm_80")).value();
  EXPECT_EQ(value_of(alone.specialization, "kPackGroup"), "false");
  EXPECT_EQ(alone.config.grid, (Dim3{1, 32, 2}));
}

TEST(AttentionSm80PlanTest, FewQueriesWithManyRowsFillALargerTile) {
  Problem p = problem(128, Mask::kCausal);
  p.seq_q = 16;
  EXPECT_EQ(value_of(plan(p, target("sm_80")).value().specialization, "kRowWarps"), "1")
      << "64 rows";
  p.kv_heads = 4;
  const Plan made = plan(p, target("sm_80")).value();
  EXPECT_EQ(value_of(made.specialization, "kRowWarps"), "4") << "128 rows";
  EXPECT_EQ(value_of(made.specialization, "kPackGroup"), "true");
  EXPECT_EQ(made.config.grid, (Dim3{1, 4, 2}));
}

TEST(AttentionSm80PlanTest, KeysAreSplitOverClustersAsSmsAreThereForThem) {
  const auto made = [](int batch, int seq_k, const char* name) {
    Problem p = problem(128, Mask::kCausal);
    p.batch = batch;
    p.seq_q = 1;
    p.seq_k = seq_k;
    return plan(p, target(name)).value();
  };
  const auto cluster = [&](int batch, int seq_k) {
    const Plan all = made(batch, seq_k, "sm_90a");
    EXPECT_EQ(all.specialization.dynamic(), made(1, 1, "sm_90a").specialization.dynamic())
        << "splits are no part of the kernel";
    EXPECT_EQ(all.config.grid.x, all.config.cluster.x);
    return all.config.cluster.x;
  };
  EXPECT_EQ(cluster(1, 8192), 8u) << "8 heads of keys";
  EXPECT_EQ(cluster(4, 8192), 4u);
  EXPECT_EQ(cluster(8, 8192), 2u);
  EXPECT_EQ(cluster(9, 8192), 1u) << "144 blocks for 132 SMs would be two rounds";
  EXPECT_EQ(cluster(1, 1024), 4u) << "16 tiles of keys";
  EXPECT_EQ(cluster(1, 64), 1u);
  const Plan ampere = made(1, 8192, "sm_80");
  EXPECT_EQ(value_of(ampere.specialization, "kSplitKeys"), "false") << "has no clusters";
  EXPECT_EQ(ampere.config.cluster, Dim3{});
}

TEST(AttentionSm80PlanTest, MoreHeadsOrBatchesThanAGridCountsAreForTheOtherKernel) {
  Problem p = problem();
  p.batch = 65536;
  EXPECT_EQ(template_of(p, target("sm_80")), "attention_forward_simt");
  p = problem();
  p.heads = p.kv_heads = 65536;
  EXPECT_EQ(template_of(p, target("sm_80")), "attention_forward_simt");
}

TEST(AttentionSm80PlanTest, RowsThatAreNotAtMultiplesOf16BytesAreForTheOtherKernel) {
  const Room ampere = room_of(target("sm_80")), hopper = room_of(target("sm_90a"));
  const auto kernel = [](const Room& room, Access access) {
    return plan_with(problem(), room, access).value().plan.specialization.kernel_template().name();
  };
  EXPECT_EQ(best_access(problem(), ampere), Access::kUnits);
  EXPECT_EQ(kernel(ampere, Access::kBulk), "attention_forward_sm80");
  EXPECT_EQ(kernel(ampere, Access::kUnits), "attention_forward_sm80");
  EXPECT_EQ(kernel(ampere, Access::kVectors), "attention_forward_simt");
  EXPECT_EQ(kernel(hopper, Access::kBulk), "attention_forward_sm90");
  EXPECT_EQ(kernel(hopper, Access::kUnits), "attention_forward_sm80")
      << "strides that its copy engine doesn't take";
}

}  // namespace
}  // namespace fms::attention

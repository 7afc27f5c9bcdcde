// The tiles that are worth a compile, and which problems share one.

#include "runtime/ops/attention_candidates.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "tests/sanitizers.h"

namespace fms::attention {
namespace {

Target target(const char* name) { return Target::parse(name).value(); }

Problem problem(int head_dim = 64, Mask mask = Mask::kFull) {
  return {.batch = 4,
          .heads = 8,
          .kv_heads = 8,
          .seq_q = 2048,
          .seq_k = 2048,
          .head_dim = head_dim,
          .mask = mask};
}

std::vector<Problem> problems() {
  std::vector<Problem> all;
  for (const int head_dim : {16, 40, 64, 72, 80, 96, 128, 192, 256}) {
    // Code that isn't optimised lists tiles for seconds, and goes the same ways for each of these.
    if (kSanitized && head_dim != 40 && head_dim != 128) continue;
    for (const Mask mask : {Mask::kFull, Mask::kCausal}) {
      all.push_back(problem(head_dim, mask));
      if (head_dim != 64 && head_dim != 128) continue;
      all.push_back(problem(head_dim, mask));
      all.back().return_lse = true;
      all.push_back(problem(head_dim, mask));
      all.back().seq_k = all.back().seq_q = 300;
    }
  }
  return all;
}

// The first "name=" of a tile.
int value_of(const std::string& tile, const std::string& name) {
  return std::stoi(tile.substr(tile.find(name + "=") + name.size() + 1));
}

TEST(AttentionCandidatesTest, ThePlansOwnTileIsTheFirstAndNeverPruned) {
  for (const char* name : {"sm_90a", "sm_80", "cpu:x86-64-v3"}) {
    const Room room = room_of(target(name));
    for (const Problem& p : problems()) {
      const auto all = candidates(p, room, Access::kBulk, 132);
      const ForwardPlan own = plan_with(p, room, Access::kBulk).value();
      ASSERT_FALSE(all.empty());
      EXPECT_EQ(all.front().tile, tile_of(own.plan)) << name << " " << p.head_dim;
      EXPECT_TRUE(all.front().pruned.empty()) << all.front().pruned;
    }
  }
}

TEST(AttentionCandidatesTest, EachThatIsNotPrunedMakesAPlanOfItsOwn) {
  for (const char* name : {"sm_90a", "sm_80", "cpu:x86-64-v3"}) {
    const Room room = room_of(target(name));
    for (const Problem& p : problems()) {
      std::set<std::string> seen;
      for (const Candidate& each : candidates(p, room, Access::kBulk, 132)) {
        EXPECT_TRUE(seen.insert(each.tile).second) << each.tile;
        if (!each.pruned.empty()) continue;
        const auto made = plan_with(p, room, Access::kBulk, each.tile);
        ASSERT_TRUE(made) << made.error().message;
        EXPECT_EQ(tile_of(made->plan), each.tile);
        EXPECT_EQ(made->plan.config.dynamic_smem_bytes, each.smem_bytes);
        EXPECT_LE(each.smem_bytes, room.max_smem_per_block_bytes);
      }
    }
  }
}

TEST(AttentionCandidatesTest, ThereAreSomeAndNotTooMany) {
  const Room room = room_of(target("sm_90a"));
  for (const Problem& p : problems()) {
    const auto all = candidates(p, room, Access::kBulk, 132);
    const auto left = std::ranges::count(all, std::string(), &Candidate::pruned);
    EXPECT_GE(left, 5) << p.head_dim;
    EXPECT_LE(left, 400) << p.head_dim;
  }
}

// Known from compiling them: head dim 128 with 128 keys fits into the registers, and with 160 not.
TEST(AttentionCandidatesTest, WhatWouldSpillIsPruned) {
  bool has_128 = false;
  for (const Candidate& each :
       candidates(problem(128), room_of(target("sm_90a")), Access::kBulk, 132)) {
    if (!each.pruned.empty() || each.tile.find("kUnrolled=true") == std::string::npos) continue;
    has_128 = has_128 || value_of(each.tile, "kBlockN") == 128;
    EXPECT_LT(value_of(each.tile, "kBlockN"), 160) << each.tile;
  }
  EXPECT_TRUE(has_128);
}

TEST(AttentionCandidatesTest, TheReasonForPruningIsGiven) {
  bool smem = false, registers = false, waves = false;
  for (const char* name : {"sm_90a", "sm_80"}) {
    for (const Candidate& each :
         candidates(problem(128), room_of(target(name)), Access::kBulk, 108)) {
      smem = smem || each.pruned.find("bytes of shared memory") != std::string::npos;
      registers = registers || each.pruned.find("registers") != std::string::npos;
      waves = waves || each.pruned.find("waves") != std::string::npos;
    }
  }
  EXPECT_TRUE(smem);
  EXPECT_TRUE(registers);
  EXPECT_TRUE(waves);
}

// Law 11: whoever shares a dynamic variant shares a tile.
TEST(AttentionCandidatesTest, AClassIsAllThatATileMayDependOn) {
  for (const char* name : {"sm_90a", "sm_80"}) {
    const Room room = room_of(target(name));
    const auto class_of = [&](const Problem& p) { return tile_class(p, room, Access::kBulk); };
    const std::string base = class_of(problem());
    Problem same = problem();
    same.batch = 1;
    same.heads = same.kv_heads = 32;
    same.seq_q = 1000;
    same.seq_k = 4097;
    EXPECT_EQ(class_of(same), base);

    std::set<std::string> others = {base};
    const auto differs = [&](auto edit) {
      Problem p = problem();
      edit(p);
      EXPECT_TRUE(others.insert(class_of(p)).second) << class_of(p);
    };
    differs([](Problem& p) { p.dtype = DType::kFloat16; });
    differs([](Problem& p) { p.head_dim = 128; });
    differs([](Problem& p) { p.mask = Mask::kCausal; });
    differs([](Problem& p) { p.return_lse = true; });
    differs([](Problem& p) { p.kv_heads = 2; });
    differs([](Problem& p) { p.value_dim = 128; });
    differs([](Problem& p) { p.softcap = true; });
    // Few keys for the one kernel, few queries for the other.
    differs([&](Problem& p) { p.seq_q = p.seq_k = room.sm_90a ? 300 : 8; });
  }
}

TEST(AttentionCandidatesTest, WhatIsNoTileOfTheProblemIsPassedOver) {
  const Room room = room_of(target("sm_90a"));
  const ForwardPlan own = plan_with(problem(), room, Access::kBulk).value();
  const std::string tile = tile_of(own.plan);
  const auto tile_with = [&](const std::string& text) {
    return tile_of(plan_with(problem(), room, Access::kBulk, text).value().plan);
  };
  std::string other = tile;
  other.replace(other.find("kBlockN=128"), 11, "kBlockN=96");
  EXPECT_EQ(tile_with(other), other);
  for (std::string wrong : {std::string("kBlockN=64"), tile + " ", tile + " kMore=1", " " + tile,
                            std::string("nonsense")}) {
    EXPECT_EQ(tile_with(wrong), tile) << wrong;
  }
  other.replace(other.find("kBlockN=96"), 10, "kBlockN=100");  // keys come in sixteens
  EXPECT_EQ(tile_with(other), tile);
  other.replace(other.find("kBlockN=100"), 11, "kBlockN=256");  // too much shared memory
  EXPECT_EQ(tile_with(other), tile);
}

}  // namespace
}  // namespace fms::attention

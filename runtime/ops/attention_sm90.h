#pragma once

#include <cstdint>

#include "runtime/ops/attention_plan.h"

namespace fms::attention {

// The tile of attention_forward_sm90: templates/attention/forward_sm90.cuh says what each is.
struct Sm90Tile {
  static constexpr int kWarpgroups = 2;
  static constexpr int kBlockM = 64 * kWarpgroups;

  int block_n = 0, stages = 0, query_stages = 0, bias_stages = 0;
  bool ping_pong = true, ping_pong_dynamic = false;
  bool query_registers = false, sum_column = false;
  bool unrolled = true, hold_by_store = false;

  bool operator==(const Sm90Tile&) const = default;
};

// Dynamic shared memory of a block: what Sm90AttentionTraits::kSmemBytes is on the device.
std::int64_t smem_bytes(const Sm90Tile& tile, int head_dim, int value_dim);
// And what slopes of problem.mods take beside that.
std::int64_t smem_bytes(const Sm90Tile& tile, const Problem& problem);

// Whether attention_forward_sm90 computes such a problem, if its arrays can be reached in bulk.
bool is_for_sm90(const Problem& problem);

// Whether the first tile of keys is a large part of all. A model that decodes counts as one that
// has many: else a sequence that grows would need two variants.
bool has_few_keys(const Problem& problem);

// By the problem's structure, and by whether it has few keys. REQUIRES: is_for_sm90(problem).
Sm90Tile choose_sm90_tile(const Problem& problem);

// REQUIRES: check(problem), is_for_sm90(problem), room.sm_90a; the tile is one that the kernel can
// be made with.
Result<ForwardPlan> plan_sm90(const Problem& problem, const Room& room, const Sm90Tile& tile);

}  // namespace fms::attention

#pragma once

#include <cstdint>

#include "runtime/ops/attention_plan.h"

namespace fms::attention {

// The tile of attention_forward_sm80: templates/attention/forward_sm80.cuh says what each is.
struct Sm80Tile {
  int row_warps = 4, key_warps = 1, row_tiles = 2;
  int block_n = 0, stages = 0;
  bool overlap = false, query_registers = false;

  int block_m() const { return 16 * row_tiles * row_warps; }
  int threads() const { return 32 * row_warps * key_warps; }
  bool operator==(const Sm80Tile&) const = default;
};

// Dynamic shared memory of a block: what Sm80AttentionTraits::kSmemBytes is on the device.
std::int64_t smem_bytes(const Sm80Tile& tile, int head_dim, int value_dim);

// Whether attention_forward_sm80 computes such a problem on an architecture that has its
// instructions, if rows are at multiples of 16 bytes.
bool is_for_sm80(const Problem& problem);

// Whether a problem has few queries, as when a model decodes, and few heads that share keys.
bool has_few_rows(const Problem& problem);

// By the problem's structure, by whether it has few rows, and by the shared memory there is.
// REQUIRES: is_for_sm80(problem).
Sm80Tile choose_sm80_tile(const Problem& problem, const Room& room);

// For an architecture that has its instructions. REQUIRES: check(problem), is_for_sm80(problem);
// the tile is one that the kernel can be made with.
Result<ForwardPlan> plan_sm80(const Problem& problem, const Room& room, const Sm80Tile& tile);

}  // namespace fms::attention

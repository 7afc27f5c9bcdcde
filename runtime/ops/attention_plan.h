#pragma once

#include <cstdint>

#include "runtime/ops/attention.h"

namespace fms::attention {

// The tile of attention_forward_simt: attention/simt_traits.cuh says what each number is.
struct Tile {
  int block_m = 0, block_n = 0, threads = 0, lanes = 0;
  int blocks = 1;  // that fit on an SM at once

  bool operator==(const Tile&) const = default;
};

// Dynamic shared memory of a block: what SimtAttentionTraits::kSmemBytes is on the device.
std::int64_t smem_bytes(const Tile& tile, int head_dim);

// What of a target counts for a plan.
struct Room {
  Target::Kind kind = Target::Kind::kCuda;
  int max_smem_per_block_bytes = 0;

  bool operator==(const Room&) const = default;
};

Room room_of(const DeviceInfo& device);

// The tile for a problem, by its structure, by whether it has few queries, and by the room. Nothing
// else of the sizes counts: a new length must find its dynamic variant compiled.
Tile choose_tile(const Problem& problem, const Room& room);

// plan(), and whether rows may be read four elements at a time.
Result<Plan> plan_with(const Problem& problem, const Room& room, bool vector_loads);

}  // namespace fms::attention

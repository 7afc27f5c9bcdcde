#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/ops/attention_plan.h"
#include "runtime/ops/attention_sm80.h"
#include "runtime/ops/attention_sm90.h"

namespace fms::attention {

// A tile that a problem's kernel could be made with, and what is known of it before it is compiled.
struct Candidate {
  std::string tile;             // "kBlockN=128 kStages=2 ...": what plan_with() takes
  std::int64_t smem_bytes = 0;  // dynamic, of a block
  int registers = 0;            // about what a thread takes; on a CPU 0
  int blocks = 1;               // that an SM holds at once
  double waves = 0;             // of blocks: how often the device is filled
  double cost = 0;              // predicted, relative to others of the problem
  std::string pruned;           // why it isn't worth a compile; empty: it is
};

// All of a problem on a device of so many SMs, or cores: first the tile that the plan chooses by
// itself, which is never pruned, then those that promise most, then the pruned ones.
// REQUIRES: check(problem).
std::vector<Candidate> candidates(const Problem& problem, const Room& room, Access access,
                                  int sm_count);

// All that a tile may depend on: the kernel's structure, and whether lengths are few. Problems of
// one class have a tile in common, and so dynamic variants, and bits (law 11).
std::string tile_class(const Problem& problem, const Room& room, Access access);

// The tile of a plan as text.
std::string tile_of(const Plan& plan);

// The candidates of one kernel, in any order; `chosen` is the tile of the plan.
std::vector<Candidate> sm90_candidates(const Problem& problem, const Room& room, int sm_count,
                                       const Sm90Tile& chosen);
std::vector<Candidate> sm80_candidates(const Problem& problem, const Room& room, int sm_count,
                                       const Sm80Tile& chosen);
std::vector<Candidate> simt_candidates(const Problem& problem, const Room& room, int sm_count,
                                       const Tile& chosen);

// Nothing: the text is no tile, or one that the problem's kernel can't be made with.
std::optional<Sm90Tile> parse_sm90_tile(std::string_view text, const Problem& problem,
                                        const Room& room);
std::optional<Sm80Tile> parse_sm80_tile(std::string_view text, const Problem& problem,
                                        const Room& room);
std::optional<Tile> parse_simt_tile(std::string_view text, const Problem& problem,
                                    const Room& room);

}  // namespace fms::attention

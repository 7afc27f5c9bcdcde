// Tiles of attention_forward_simt.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/ops/attention_candidates.h"
#include "runtime/ops/tile_text.h"

namespace fms::attention {
namespace {

using Field = TileField<Tile>;

// In the order of the template's parameters.
constexpr Field kFields[] = {{"kBlockM", &Tile::block_m},
                             {"kBlockN", &Tile::block_n},
                             {"kThreads", &Tile::threads},
                             {"kLanes", &Tile::lanes},
                             {"kBlocks", &Tile::blocks}};

constexpr int kRegistersOfSm = 65536;
constexpr int kMostRegisters = 255;
// Beside accumulators and operands: addresses, row statistics, loop counters.
constexpr int kOtherRegisters = 40;

// What a thread has of a tile: SimtAttentionTraits.
struct Share {
  int rows = 0, keys = 0, columns = 0;
};

Share share_of(const Tile& tile, int value_dim) {
  const int width =
      value_dim % (4 * tile.lanes) == 0 ? 4 : (value_dim % (2 * tile.lanes) == 0 ? 2 : 1);
  const int run = width * tile.lanes;
  return {.rows = tile.block_m / (tile.threads / tile.lanes),
          .keys = tile.block_n / tile.lanes,
          .columns = (value_dim + run - 1) / run * width};
}

int registers_of(const Tile& tile, const Problem& problem) {
  const Share share = share_of(tile, problem.value_columns());
  const int accumulators = share.rows * (share.keys + share.columns);
  const int operands = 4 * (share.rows + share.keys);  // read four floats at a time
  return accumulators + operands + kOtherRegisters;
}

// Why the kernel can't be made with it; empty: it can.
std::string impossible(const Tile& tile, const Problem& problem, const Room& room) {
  const auto in = [](int value, int least, int most) { return value >= least && value <= most; };
  if (!in(tile.threads, 32, 512) || tile.threads % 32 != 0 || !in(tile.lanes, 1, 32) ||
      (tile.lanes & (tile.lanes - 1)) != 0 || !in(tile.blocks, 1, 16)) {
    return "there are no such threads";
  }
  const int groups = tile.threads / tile.lanes;
  if (!in(tile.block_m, 1, 256) || tile.block_m % groups != 0) {
    return "rows don't divide among the threads";
  }
  if (!in(tile.block_n, 4, 256) || tile.block_n % 4 != 0 || tile.block_n % tile.lanes != 0) {
    return "keys don't divide among the threads";
  }
  const std::int64_t smem = smem_bytes(tile, problem.head_dim, problem.value_columns());
  if (smem > room.max_smem_per_block_bytes) {
    return fmt::format("takes {} bytes of shared memory, and {} are there", smem,
                       room.max_smem_per_block_bytes);
  }
  return {};
}

// Floats read from shared memory for each multiply-add, of both products: what bounds the kernel.
double reads_per_multiply(const Tile& tile, int value_dim) {
  const auto [rows, keys, columns] = share_of(tile, value_dim);
  const double scores = static_cast<double>(rows + keys) / (rows * keys);
  const double output = static_cast<double>(rows + columns) / (rows * columns);
  return scores + output;
}

// What is computed of rows and keys that aren't there, over what is asked.
double padding(const Tile& tile, const Problem& problem) {
  const auto padded = [](int length, int tile_length) {
    const int tiles = (std::max(length, 1) + tile_length - 1) / tile_length;
    return static_cast<double>(tiles) * tile_length / std::max(length, 1);
  };
  return padded(problem.seq_q, tile.block_m) * padded(problem.seq_k, tile.block_n);
}

Candidate describe(const Tile& tile, const Problem& problem, const Room& room, int sm_count) {
  Candidate candidate{.tile = tile_to_text<Tile>(tile, kFields),
                      .smem_bytes = smem_bytes(tile, problem.head_dim, problem.value_columns())};
  const double query_tiles = std::ceil(static_cast<double>(problem.seq_q) / tile.block_m);
  const double grid = query_tiles * problem.batch * problem.heads;
  if (room.kind == Target::Kind::kCuda) {
    candidate.registers = registers_of(tile, problem);
    const auto by_smem =
        room.max_smem_per_block_bytes / std::max<std::int64_t>(candidate.smem_bytes, 1);
    const auto by_registers = kRegistersOfSm / (candidate.registers * tile.threads);
    candidate.blocks =
        static_cast<int>(std::max<std::int64_t>(1, std::min<std::int64_t>(by_smem, by_registers)));
  }
  candidate.waves = grid / (std::max(sm_count, 1) * candidate.blocks);
  const double whole_waves = std::max(1.0, std::ceil(candidate.waves));
  // A thread that waits at the end of each tile of keys; and warps that hide it, up to eight.
  const double warps = candidate.blocks * tile.threads / 32.0;
  const double hidden = std::min(1.0, warps / 8);
  candidate.cost = (0.5 + reads_per_multiply(tile, problem.value_columns()) + 8.0 / tile.block_n) *
                   padding(tile, problem) * whole_waves / std::max(candidate.waves, 1e-9) /
                   (room.kind == Target::Kind::kCuda ? hidden : 1.0);
  return candidate;
}

// Why it isn't worth a compile though it can be made.
std::string unpromising(const Tile& tile, const Candidate& candidate, double cost_of_chosen) {
  if (candidate.registers > kMostRegisters ||
      candidate.registers * tile.threads * tile.blocks > kRegistersOfSm) {
    return fmt::format("takes about {} registers for each of {} threads", candidate.registers,
                       tile.threads * tile.blocks);
  }
  if (tile.blocks > candidate.blocks) {
    return fmt::format("{} blocks don't fit on an SM", tile.blocks);
  }
  if (candidate.cost > 1.5 * cost_of_chosen) {
    return fmt::format("predicted to take {:.1f} times the chosen tile, in {:.2f} waves",
                       candidate.cost / cost_of_chosen, candidate.waves);
  }
  return {};
}

template <typename Visit>
void for_each_tile(Target::Kind kind, const Visit& visit) {
  const int most_blocks = kind == Target::Kind::kCuda ? 3 : 1;
  for (const int block_m : {16, 32, 64, 128}) {
    for (const int block_n : {16, 32, 64, 128}) {
      for (const int threads : {64, 128, 256}) {
        for (const int lanes : {8, 16, 32}) {
          for (int blocks = 1; blocks <= most_blocks; ++blocks) {
            visit(Tile{.block_m = block_m,
                       .block_n = block_n,
                       .threads = threads,
                       .lanes = lanes,
                       .blocks = blocks});
          }
        }
      }
    }
  }
}

}  // namespace

std::vector<Candidate> simt_candidates(const Problem& problem, const Room& room, int sm_count,
                                       const Tile& chosen) {
  const double cost_of_chosen = describe(chosen, problem, room, sm_count).cost;
  std::vector<Candidate> all;
  for_each_tile(room.kind, [&](const Tile& tile) {
    // Of what can't be divided nothing can be said.
    if (tile.block_m < tile.threads / tile.lanes || tile.block_n < tile.lanes) return;
    Candidate candidate = describe(tile, problem, room, sm_count);
    if (tile != chosen) {
      candidate.pruned = impossible(tile, problem, room);
      if (candidate.pruned.empty()) {
        candidate.pruned = unpromising(tile, candidate, cost_of_chosen);
      }
    }
    all.push_back(std::move(candidate));
  });
  return all;
}

std::optional<Tile> parse_simt_tile(std::string_view text, const Problem& problem,
                                    const Room& room) {
  const auto tile = tile_from_text<Tile>(text, kFields);
  return tile && impossible(*tile, problem, room).empty() ? tile : std::nullopt;
}

}  // namespace fms::attention

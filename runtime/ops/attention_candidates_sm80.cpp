// Tiles of attention_forward_sm80.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "runtime/ops/attention_candidates.h"
#include "runtime/ops/tile_text.h"

namespace fms::attention {
namespace {

using Field = TileField<Sm80Tile>;

// In the order of the template's parameters.
constexpr Field kFields[] = {
    {"kRowWarps", &Sm80Tile::row_warps}, {"kKeyWarps", &Sm80Tile::key_warps},
    {"kRowTiles", &Sm80Tile::row_tiles}, {"kBlockN", &Sm80Tile::block_n},
    {"kStages", &Sm80Tile::stages},      {"kQueryRegisters", &Sm80Tile::query_registers},
    {"kOverlap", &Sm80Tile::overlap}};

constexpr int kRegistersOfSm = 65536;
constexpr int kMostRegisters = 255;
// Beside fragments: operands on their way from shared memory, addresses, row statistics. Head dim
// 64 with 48 keys, overlap and queries in registers is known to fit.
constexpr int kOtherRegisters = 56;

// A fragment of 16 rows and n columns is n / 2 registers of fp32, or n / 4 of 16 bits, a thread.
int registers_of(const Sm80Tile& tile, const Problem& problem) {
  const int keys = tile.block_n / tile.key_warps;
  const int weighed = keys / 2 + keys / 4 * (tile.overlap ? 2 : 1);
  const int queries = tile.query_registers ? (problem.head_dim + 15) / 16 * 4 : 0;
  return tile.row_tiles * (weighed + problem.value_columns() / 2 + queries) + kOtherRegisters;
}

// Why the kernel can't be made with it; empty: it can.
std::string impossible(const Sm80Tile& tile, const Problem& problem, const Room& room) {
  const auto in = [](int value, int least, int most) { return value >= least && value <= most; };
  if (!in(tile.row_warps, 1, 16) || !in(tile.key_warps, 1, 8) || !in(tile.row_tiles, 1, 2) ||
      tile.threads() > 1024) {
    return "there are no such warps";
  }
  if (!in(tile.block_n, 16, 256) || tile.block_n % (16 * tile.key_warps) != 0) {
    return "keys come in sixteens for each warp, up to 256";
  }
  if (!in(tile.stages, 1, 8) || (tile.overlap && tile.stages < 2)) {
    return "there are no such stages";
  }
  const std::int64_t smem = smem_bytes(tile, problem.head_dim, problem.value_columns());
  if (smem > room.max_smem_per_block_bytes) {
    return fmt::format("takes {} bytes of shared memory, and {} are there", smem,
                       room.max_smem_per_block_bytes);
  }
  return {};
}

Candidate describe(const Sm80Tile& tile, const Problem& problem, const Room& room, int sm_count) {
  Candidate candidate{.tile = tile_to_text<Sm80Tile>(tile, kFields),
                      .smem_bytes = smem_bytes(tile, problem.head_dim, problem.value_columns()),
                      .registers = registers_of(tile, problem)};
  // As plan_sm80() packs them: few queries are those of all heads that share their keys.
  const int group = problem.heads / problem.kv_heads;
  const bool packed = has_few_queries(problem) && group > 1;
  const double rows = static_cast<double>(problem.seq_q) * (packed ? group : 1);
  const double tiles = std::ceil(rows / tile.block_m());
  const double grid = tiles * problem.batch * (packed ? problem.kv_heads : problem.heads);
  const auto by_smem =
      room.max_smem_per_block_bytes / std::max<std::int64_t>(candidate.smem_bytes + 1024, 1);
  const auto by_registers = kRegistersOfSm / (candidate.registers * tile.threads());
  candidate.blocks = static_cast<int>(
      std::clamp<std::int64_t>(std::min<std::int64_t>(by_smem, by_registers), 1, 16));
  candidate.waves = grid / (std::max(sm_count, 1) * candidate.blocks);
  const double key_tiles = std::ceil(std::max(problem.seq_k, 1) / double(tile.block_n));
  const double padding =
      tiles * tile.block_m() / rows * key_tiles * tile.block_n / std::max(problem.seq_k, 1);
  const double partial_wave =
      std::max(1.0, std::ceil(candidate.waves)) / std::max(candidate.waves, 1e-9);
  // For a product of 16 rows: itself, the keys that a warp reads for it, and what each tile costs
  // whatever its size; and to join what several warps have of a row. Few warps leave latencies to
  // be waited for.
  const double work = 1 + 0.6 / tile.row_tiles + 12.0 / tile.block_n - (tile.overlap ? 0.1 : 0.0) -
                      (tile.stages > 1 ? 0.1 : 0.0) + 0.15 * (tile.key_warps - 1);
  const double warps = candidate.blocks * tile.threads() / 32.0;
  candidate.cost = work * padding * partial_wave / std::min(1.0, warps / 8);
  return candidate;
}

// Why it isn't worth a compile though it can be made.
std::string unpromising(const Candidate& candidate, const Sm80Tile& tile, double cost_of_chosen) {
  if (candidate.registers > kMostRegisters ||
      candidate.registers * tile.threads() > kRegistersOfSm) {
    return fmt::format("takes about {} registers for each of {} threads", candidate.registers,
                       tile.threads());
  }
  if (candidate.cost > 1.4 * cost_of_chosen) {
    return fmt::format("predicted to take {:.1f} times the chosen tile, in {:.2f} waves",
                       candidate.cost / cost_of_chosen, candidate.waves);
  }
  return {};
}

template <typename Visit>
void for_each_tile(const Visit& visit) {
  for (const int row_warps : {1, 2, 4, 8}) {
    for (const int key_warps : {1, 2, 4}) {
      for (const int row_tiles : {1, 2}) {
        for (int block_n = 16 * key_warps; block_n <= 128; block_n += 16 * key_warps) {
          for (int stages = 1; stages <= 3; ++stages) {
            for (const bool query_registers : {false, true}) {
              for (const bool overlap : {false, true}) {
                visit(Sm80Tile{.row_warps = row_warps,
                               .key_warps = key_warps,
                               .row_tiles = row_tiles,
                               .block_n = block_n,
                               .stages = stages,
                               .overlap = overlap,
                               .query_registers = query_registers});
              }
            }
          }
        }
      }
    }
  }
}

}  // namespace

std::vector<Candidate> sm80_candidates(const Problem& problem, const Room& room, int sm_count,
                                       const Sm80Tile& chosen) {
  const double cost_of_chosen = describe(chosen, problem, room, sm_count).cost;
  std::vector<Candidate> all;
  for_each_tile([&](const Sm80Tile& tile) {
    Candidate candidate = describe(tile, problem, room, sm_count);
    if (tile != chosen) {
      candidate.pruned = impossible(tile, problem, room);
      if (candidate.pruned.empty()) {
        candidate.pruned = unpromising(candidate, tile, cost_of_chosen);
      }
    }
    all.push_back(std::move(candidate));
  });
  return all;
}

std::optional<Sm80Tile> parse_sm80_tile(std::string_view text, const Problem& problem,
                                        const Room& room) {
  const auto tile = tile_from_text<Sm80Tile>(text, kFields);
  return tile && impossible(*tile, problem, room).empty() ? tile : std::nullopt;
}

}  // namespace fms::attention

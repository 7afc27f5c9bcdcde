// Tiles of attention_forward_sm90.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "runtime/ops/attention_candidates.h"
#include "runtime/ops/tile_text.h"

namespace fms::attention {
namespace {

using Field = TileField<Sm90Tile>;

// In the order of the template's parameters.
constexpr Field kFields[] = {{"kBlockN", &Sm90Tile::block_n},
                             {"kStages", &Sm90Tile::stages},
                             {"kQueryStages", &Sm90Tile::query_stages},
                             {"kPingPong", &Sm90Tile::ping_pong},
                             {"kPingPongDynamic", &Sm90Tile::ping_pong_dynamic},
                             {"kQueryRegisters", &Sm90Tile::query_registers},
                             {"kUnrolled", &Sm90Tile::unrolled},
                             {"kHoldByStore", &Sm90Tile::hold_by_store},
                             {"kSumColumn", &Sm90Tile::sum_column},
                             {"kBiasStages", &Sm90Tile::bias_stages}};

// Those that are tried. The rest is as in the chosen tile: what exact variants have no use for, and
// the biases of functions, which can't be tuned.
constexpr bool Sm90Tile::*kSwitches[] = {&Sm90Tile::ping_pong, &Sm90Tile::query_registers,
                                         &Sm90Tile::unrolled, &Sm90Tile::hold_by_store,
                                         &Sm90Tile::sum_column};

constexpr int kMaxKeys = 192;
constexpr int kMaxStages = 8;

// What setmaxnreg leaves a thread of two consumer warpgroups, and what it needs beside its
// fragments: row statistics, addresses, loop counters. With 36 the largest tiles that are known to
// compile are let through (head dim 128: 128 keys) and what is known to spill isn't (160).
constexpr int kConsumerRegisters = 232;
constexpr int kOtherRegisters = 36;

// A fragment of 64 rows and n columns is n / 2 registers of fp32 or n / 4 of 16 bits a thread. A
// loop over two tiles holds the weights of both.
int registers_of(const Sm90Tile& tile, const Problem& problem) {
  const int scores = tile.block_n / 2, weights = tile.block_n / 4 * (tile.unrolled ? 2 : 1);
  const int output = (problem.value_columns() + (tile.sum_column ? 8 : 0)) / 2;
  const int queries = tile.query_registers ? (problem.head_dim + 15) / 16 * 4 : 0;
  return scores + weights + output + queries + kOtherRegisters;
}

// Cycles of an SM for one query tile and one key. Products: 2048 multiply-adds a cycle on the
// tensor cores; exponentials: 16 a cycle; and what each tile of keys costs whatever its size. Few
// keys in flight leave the copy engine's latency, about 700 cycles, to be waited for.
double cycles_per_key(const Sm90Tile& tile, const Problem& problem) {
  constexpr double kTileCycles = 120, kLatency = 700;
  const double rows = Sm90Tile::kBlockM;
  const double products = rows * (problem.head_dim + problem.value_columns()) / 2048;
  const double softmax = rows / 16 * 1.5;
  const double busy = std::max(products, softmax) + 0.5 * std::min(products, softmax);
  const double waits =
      std::max(0.0, kLatency - (tile.stages - 1) * tile.block_n * busy) / tile.block_n;
  return busy + kTileCycles / tile.block_n + waits;
}

int switches_changed(const Sm90Tile& a, const Sm90Tile& b) {
  return static_cast<int>(
      std::ranges::count_if(kSwitches, [&](auto member) { return a.*member != b.*member; }));
}

// Keys that are computed, the last tile's padding with them.
double keys_computed(const Sm90Tile& tile, const Problem& problem) {
  const int keys = std::max(problem.seq_k, 1);
  return (keys + tile.block_n - 1) / tile.block_n * static_cast<double>(tile.block_n);
}

// Why the kernel can't be made with it; empty: it can.
std::string impossible(const Sm90Tile& tile, const Problem& problem, const Room& room) {
  if (tile.block_n < 16 || tile.block_n > 256 || tile.block_n % 16 != 0) {
    return "keys come in sixteens, up to 256";
  }
  if (tile.stages < 1 || tile.stages > kMaxStages || tile.query_stages < 1 ||
      tile.query_stages > 2) {
    return "there are no such stages";
  }
  if (tile.bias_stages < 0 || tile.bias_stages > 8 ||
      (tile.bias_stages > 0 && (tile.block_n % 64 != 0 || tile.bias_stages * 64 < tile.block_n))) {
    return "biases come in pieces of 64 keys, a tile's at once";
  }
  if (tile.sum_column &&
      (problem.value_columns() % 64 != 0 || problem.value_columns() >= 256 || problem.return_lse)) {
    return "a column of sums takes whole panels before it, and is no log-sum-exp";
  }
  const std::int64_t smem = smem_bytes(tile, problem);
  if (smem > room.max_smem_per_block_bytes) {
    return fmt::format("takes {} bytes of shared memory, and {} are there", smem,
                       room.max_smem_per_block_bytes);
  }
  return {};
}

bool fits(const Sm90Tile& tile, const Problem& problem, const Room& room) {
  return impossible(tile, problem, room).empty();
}

// Why it isn't worth a compile though it can be made.
std::string unpromising(const Sm90Tile& tile, const Sm90Tile& chosen, const Problem& problem,
                        const Room& room) {
  const int registers = registers_of(tile, problem);
  if (registers > kConsumerRegisters) {
    return fmt::format("takes about {} registers, and {} are there", registers, kConsumerRegisters);
  }
  if (switches_changed(tile, chosen) > 2) return "three or more switches from the chosen tile";
  // More in flight is better as long as it fits; one less is kept, for what it leaves to the L1.
  Sm90Tile deeper = tile;
  deeper.stages += 2;
  if (fits(deeper, problem, room) && deeper.stages * deeper.block_n <= 1024) {
    return "two more stages fit";
  }
  deeper = tile;
  ++deeper.query_stages;
  if (fits(deeper, problem, room)) return "two query stages fit";
  return {};
}

template <typename Visit>
void for_each_tile(const Sm90Tile& chosen, const Visit& visit) {
  for (int block_n = 48; block_n <= kMaxKeys; block_n += 16) {
    for (int stages = 2; stages <= kMaxStages; ++stages) {
      for (const int query_stages : {1, 2}) {
        for (int switches = 0; switches < 1 << std::size(kSwitches); ++switches) {
          Sm90Tile tile = chosen;
          tile.block_n = block_n;
          tile.stages = stages;
          tile.query_stages = query_stages;
          for (std::size_t i = 0; i < std::size(kSwitches); ++i) {
            tile.*kSwitches[i] = (switches >> i & 1) != 0;
          }
          visit(tile);
        }
      }
    }
  }
}

}  // namespace

std::vector<Candidate> sm90_candidates(const Problem& problem, const Room& room, int sm_count,
                                       const Sm90Tile& chosen) {
  const double tiles = std::ceil(static_cast<double>(problem.seq_q) / Sm90Tile::kBlockM);
  const double waves = tiles * problem.batch * problem.heads / std::max(sm_count, 1);
  std::vector<Candidate> all;
  for_each_tile(chosen, [&](const Sm90Tile& tile) {
    const int changed = switches_changed(tile, chosen);
    Candidate candidate{.tile = tile_to_text<Sm90Tile>(tile, kFields),
                        .smem_bytes = smem_bytes(tile, problem),
                        .registers = registers_of(tile, problem),
                        .waves = waves,
                        .cost = cycles_per_key(tile, problem) * keys_computed(tile, problem)};
    // The switches of the chosen tile were measured, if for another shape.
    candidate.cost *= 1 + 0.02 * changed;
    if (tile != chosen) {
      candidate.pruned = impossible(tile, problem, room);
      if (candidate.pruned.empty()) candidate.pruned = unpromising(tile, chosen, problem, room);
    }
    all.push_back(std::move(candidate));
  });
  return all;
}

std::optional<Sm90Tile> parse_sm90_tile(std::string_view text, const Problem& problem,
                                        const Room& room) {
  const auto tile = tile_from_text<Sm90Tile>(text, kFields);
  return tile && fits(*tile, problem, room) ? tile : std::nullopt;
}

}  // namespace fms::attention

#include "runtime/ops/attention_sm80.h"

#include <algorithm>
#include <span>
#include <utility>

#include "runtime/ops/attention_mods.h"

namespace fms::attention {
namespace {

struct TileChoice {
  int max_dim;  // of the larger head dim
  int blocks;   // that are to fit on an SM at once
  Sm80Tile tile;
};

// The first row that covers the head dims and of which the blocks fit is taken: those before the
// last of a class are for more shared memory. templates/README.md has what they were measured at.
constexpr TileChoice kTiles[] = {
    {64, 2, {.block_n = 48, .stages = 2, .overlap = true, .query_registers = true}},
    {96, 2, {.block_n = 48, .stages = 2, .overlap = true}},
    {96, 2, {.block_n = 48, .stages = 1}},
    {128, 2, {.block_n = 48, .stages = 2}},
    {128, 2, {.block_n = 32, .stages = 2}},
    {128, 2, {.row_tiles = 1, .block_n = 48, .stages = 1}},
    {192, 2, {.row_tiles = 1, .block_n = 96, .stages = 1}},
    {192, 1, {.row_tiles = 1, .block_n = 64, .stages = 1}},
    {256, 2, {.row_tiles = 1, .block_n = 64, .stages = 1}},
    {256, 1, {.row_tiles = 1, .block_n = 32, .stages = 1}},
};

// Scores that are capped, or changed by a function, take registers beside the largest tiles.
constexpr TileChoice kChangedScoresTiles[] = {
    {96, 2, {.block_n = 32, .stages = 2}},
    {96, 2, {.block_n = 32, .stages = 1}},
    {128, 2, {.block_n = 32, .stages = 2}},
    {128, 1, {.row_tiles = 1, .block_n = 32, .stages = 1}},
};

// For few rows, as when a model decodes: those of one warp, and others to read more keys at once.
// The keys of a block are read once, as fast as memory gives them.
constexpr TileChoice kFewRowsTiles[] = {
    {128, 2, {.row_warps = 1, .key_warps = 4, .row_tiles = 1, .block_n = 64, .stages = 3}},
    {128, 1, {.row_warps = 1, .key_warps = 4, .row_tiles = 1, .block_n = 64, .stages = 2}},
    {256, 1, {.row_warps = 1, .key_warps = 4, .row_tiles = 1, .block_n = 64, .stages = 2}},
    {256, 1, {.row_warps = 1, .key_warps = 2, .row_tiles = 1, .block_n = 32, .stages = 2}},
};

// Rows in shared memory are an odd number of 16-byte units.
int row_bytes(int dim) { return 16 * (2 * ((dim + 15) / 16) + 1); }

constexpr int kFewQueries = 16;
constexpr int kFewRows = 64;  // four tiles, which read the same keys

// Few queries are packed into rows with those of all heads that share keys. Rows of a block table
// are of one head.
bool packs_group(const Problem& problem) {
  return problem.seq_q <= kFewQueries && problem.heads > problem.kv_heads && !problem.block_table;
}

std::int64_t rows_of(const Problem& problem) {
  const int group = problem.heads / problem.kv_heads;
  return std::int64_t{problem.seq_q} * (packs_group(problem) ? group : 1);
}

int largest_dim(const Problem& problem) {
  return std::max(problem.head_dim, problem.value_columns());
}

std::span<const TileChoice> choices_for(const Problem& problem) {
  if (has_few_rows(problem)) return kFewRowsTiles;
  const bool changed = problem.softcap || problem.mods != nullptr;
  const int dim = largest_dim(problem);
  if (changed && dim > 64 && dim <= 128) return kChangedScoresTiles;
  return kTiles;
}

// Each block takes this much more of an SM than it asks for, and an SM has this much more than a
// block may ask for.
constexpr int kReservedBytes = 1024;

bool fits(const TileChoice& choice, const Problem& problem, const Room& room) {
  const std::int64_t smem = smem_bytes(choice.tile, problem.head_dim, problem.value_columns());
  return choice.blocks * (smem + kReservedBytes) <= room.max_smem_per_block_bytes + kReservedBytes;
}

// Blocks that share the keys of a tile of rows, a cluster: as many as the device has SMs for, if
// each still has some tiles of keys.
int splits_for(std::int64_t blocks, int key_tiles, const Room& room) {
  constexpr int kMostSplits = 8;  // that every device with clusters takes
  constexpr int kFewestTiles = 4;
  int splits = 1;
  while (splits < kMostSplits && 2 * splits * blocks <= room.sm_count &&
         2 * splits * kFewestTiles <= key_tiles) {
    splits *= 2;
  }
  return splits;
}

}  // namespace

std::int64_t smem_bytes(const Sm80Tile& tile, int head_dim, int value_dim) {
  const std::int64_t tiles =
      tile.block_m() * row_bytes(head_dim) +
      tile.stages * tile.block_n * (row_bytes(head_dim) + row_bytes(value_dim));
  // What warps that share rows hand on, and then the block: maxima, sums and output of a thread.
  const std::int64_t parts = tile.key_warps > 1 ? tile.key_warps + 1 : 0;
  const std::int64_t joined = parts * 4 * 32 * (value_dim / 2 + 4);
  return std::max(tiles, joined);
}

bool is_for_sm80(const Problem& problem) {
  constexpr int kMaxBlocks = 65535;  // of a grid's second and third dimension
  return problem.dtype != DType::kFloat32 && problem.head_dim % 8 == 0 &&
         problem.value_columns() % 8 == 0 && problem.heads <= kMaxBlocks &&
         problem.batch <= kMaxBlocks;
}

bool has_few_rows(const Problem& problem) {
  return problem.seq_q <= kFewQueries && rows_of(problem) <= kFewRows;
}

Sm80Tile choose_sm80_tile(const Problem& problem, const Room& room) {
  const int dim = largest_dim(problem);
  const TileChoice* covering = nullptr;
  for (const TileChoice& choice : choices_for(problem)) {
    if (choice.max_dim < dim || (covering != nullptr && choice.max_dim > covering->max_dim)) {
      continue;
    }
    covering = &choice;
    if (fits(choice, problem, room)) break;
  }
  return covering->tile;
}

Result<ForwardPlan> plan_sm80(const Problem& problem, const Room& room, const Sm80Tile& tile) {
  FMS_TRY(auto kernel_template, template_with(problem.mods.get(), "attention_forward_sm80"));
  const bool pack_group = packs_group(problem);
  const bool split_keys = room.clusters && tile.key_warps > 1;
  const std::int64_t tiles = (rows_of(problem) + tile.block_m() - 1) / tile.block_m();
  const int heads = pack_group ? problem.kv_heads : problem.heads;
  const int splits =
      split_keys ? splits_for(tiles * heads * problem.batch, problem.seq_k / tile.block_n, room)
                 : 1;
  // Weights of a maximum that lags are small, and float16 ends at 2^-24.
  const int max_lag = problem.dtype == DType::kFloat16 ? 4 : 8;
  std::vector<Specialization::NamedValue> values = values_of(problem);
  values.insert(values.end(), {
                                  {"kRowWarps", Value::integer(tile.row_warps)},
                                  {"kKeyWarps", Value::integer(tile.key_warps)},
                                  {"kRowTiles", Value::integer(tile.row_tiles)},
                                  {"kBlockN", Value::integer(tile.block_n)},
                                  {"kStages", Value::integer(tile.stages)},
                                  {"kQueryRegisters", Value::boolean(tile.query_registers)},
                                  {"kOverlap", Value::boolean(tile.overlap)},
                                  {"kPackGroup", Value::boolean(pack_group)},
                                  {"kSplitKeys", Value::boolean(split_keys)},
                                  {"kBlockTable", Value::boolean(problem.block_table)},
                                  {"kMaxLag", Value::integer(max_lag)},
                              });
  FMS_TRY(Specialization specialization, Specialization::make(std::move(kernel_template), values));
  const std::int64_t smem = smem_bytes(tile, problem.head_dim, problem.value_columns());
  LaunchConfig config{.grid = {.x = static_cast<std::uint32_t>(tiles * splits),
                               .y = static_cast<std::uint32_t>(heads),
                               .z = static_cast<std::uint32_t>(problem.batch)},
                      .block = {.x = static_cast<std::uint32_t>(tile.threads())},
                      .dynamic_smem_bytes = static_cast<std::uint32_t>(smem)};
  if (splits > 1) config.cluster = {.x = static_cast<std::uint32_t>(splits)};
  return ForwardPlan{.plan = {.specialization = std::move(specialization), .config = config},
                     .block_m = tile.block_m(),
                     .block_n = tile.block_n,
                     .from_last = true};
}

}  // namespace fms::attention

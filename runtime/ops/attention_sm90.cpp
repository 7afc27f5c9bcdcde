#include "runtime/ops/attention_sm90.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "runtime/ops/attention_arguments.h"
#include "runtime/ops/attention_mods.h"

namespace fms::attention {
namespace {

// Positions of the schedule are counted in 31 bits, a round beyond the last one too.
constexpr std::int64_t kMaxPositions = 1 << 30;

enum class Schedule { kSnake, kPairs };  // as in the template

// What templates/README.md measures, one for each class of head dims. The first one has no
// ping-pong with its column of sums and under a mask, and else has.
constexpr Sm90Tile kUpTo64{.block_n = 128, .stages = 4, .query_stages = 2, .query_registers = true};
constexpr Sm90Tile kUpTo128{.block_n = 128, .stages = 2, .query_stages = 2};
constexpr Sm90Tile kUpTo192By128{.block_n = 128, .stages = 2, .query_stages = 1};
constexpr Sm90Tile kUpTo192{.block_n = 64, .stages = 2, .query_stages = 1};
constexpr Sm90Tile kUpTo256{.block_n = 64, .stages = 2, .query_stages = 1, .unrolled = false};

// With head dims over 64 and few keys, the first tile of them is a large part of all, and nothing
// runs beside its product.
constexpr int kFewKeys = 512;
constexpr int kFewQueries = 16;
constexpr Sm90Tile kFewKeysTile{.block_n = 64, .stages = 4, .query_stages = 2, .unrolled = false};

int widest_dim(const Problem& problem) {
  return std::max(problem.head_dim, problem.value_columns());
}
// Tiles of queries see more and more keys, or as a table has it: these are faster in pairs with
// head dims over 64 alone (documents of 600 tokens, 4096: 0.341 instead of 0.372 ms at 128, and
// 0.260 instead of 0.244 ms at 64).
bool takes_pairs(const Problem& problem) {
  const bool causal = problem.mask != Mask::kFull && !has_window(problem.mask);
  return causal || (problem.block_table && widest_dim(problem) > 64);
}
// There may be slopes that the tensor cores add. Whether there are, the compiler says: that some
// word is `slope` is no proof.
bool has_slopes(const Problem& problem) {
  return problem.mods != nullptr && problem.mods->names("slope");
}
// And they are all that there is: the loop over keys is then as without functions.
bool has_slopes_alone(const Problem& problem) {
  return has_slopes(problem) && !problem.softcap && !problem.mods->names("bias_row") &&
         !problem.mods->names("mask");
}
// Scores go through more than a mask on their way to the exponentials.
bool is_shaped(const Problem& problem) {
  return problem.softcap || (problem.mods != nullptr && !has_slopes_alone(problem));
}

// How ptxas schedules the loop over keys with dims below 64 and no mask is a matter of trial: batch
// 4, 16 heads, 2048, ms of the exact and the dynamic variant, before and after: 16: 0.102, 0.105
// and 0.099, 0.102; 32: 0.117, 0.118 and 0.107, 0.111; 48: 0.123, 0.142 and 0.120, 0.122; 56:
// 0.130, 0.143 and 0.131, 0.135. At 40 nothing was better: 0.121, 0.123.
struct Trial {
  int up_to;
  bool query_registers, ping_pong, ping_pong_dynamic, hold_by_store;
};
constexpr Trial kTrials[] = {{16, false, false, false, false},
                             {32, false, false, true, false},
                             {40, true, false, false, false},
                             {48, false, false, true, true},
                             {56, false, true, true, true}};

void apply_trial(int widest, Sm90Tile& tile) {
  const auto* trial =
      std::ranges::find_if(kTrials, [&](const Trial& t) { return widest <= t.up_to; });
  if (trial == std::end(kTrials)) return;
  tile.query_registers = trial->query_registers;
  tile.ping_pong = trial->ping_pong;
  tile.ping_pong_dynamic = trial->ping_pong_dynamic;
  tile.hold_by_store = trial->hold_by_store;
}

Sm90Tile tile_up_to_64(const Problem& problem) {
  Sm90Tile tile = kUpTo64;
  const bool full = problem.mask == Mask::kFull;
  const bool whole_panel = problem.head_dim == 64 && problem.value_columns() == 64;
  // The sum of rounded weights is good for a quotient and not for a log-sum-exp, and the column
  // takes whole panels of values before it.
  tile.sum_column = whole_panel && !problem.return_lse;
  tile.ping_pong =
      full && whole_panel && !problem.block_table && (problem.return_lse || is_shaped(problem));
  tile.ping_pong_dynamic = full && whole_panel && !problem.block_table;
  tile.hold_by_store = full && whole_panel;
  // A user's functions need registers too; slopes do under a mask (0.91 of plain instead of 0.89).
  tile.query_registers = problem.mods == nullptr || (full && has_slopes_alone(problem));
  if (full && !problem.block_table && !is_shaped(problem)) apply_trial(widest_dim(problem), tile);
  return tile;
}

}  // namespace

bool has_few_keys(const Problem& problem) {
  // The length of the longest of packed sequences says little, and changes.
  return problem.seq_k <= kFewKeys && problem.seq_q > kFewQueries && !problem.packed;
}

namespace {

Sm90Tile tile_by_dims(const Problem& problem) {
  const int widest = widest_dim(problem);
  if (widest <= 64) return tile_up_to_64(problem);
  if (widest <= 128) {
    if (!has_few_keys(problem)) return kUpTo128;
    Sm90Tile tile = kFewKeysTile;
    if (problem.mask == Mask::kFull) tile.stages = 5;
    return tile;
  }
  if (problem.head_dim <= 192 && problem.value_columns() <= 128) return kUpTo192By128;
  return widest <= 192 ? kUpTo192 : kUpTo256;
}

// With dims up to 16 and no mask ptxas serialises wgmma, which is refused, where it knows how much
// of the last tile of keys is there; some lengths apart.
bool knows_last_tile(const Problem& problem, const Sm90Tile& tile) {
  return widest_dim(problem) > 16 || problem.mask != Mask::kFull ||
         problem.seq_k % tile.block_n == 0;
}

// Persistent: as many blocks as are on the device at once. Where tiles are uneven a worker takes
// them in pairs, unless there is a block for each. Packed sequences may have fewer tiles than that.
Result<Dim3> grid_for(const Problem& problem, const Room& room) {
  const bool pairs = takes_pairs(problem);
  const std::int64_t tiles =
      (std::int64_t{problem.seq_q} + Sm90Tile::kBlockM - 1) / Sm90Tile::kBlockM;
  const std::int64_t workers =
      std::int64_t{problem.batch} * problem.heads * (pairs ? (tiles + 1) / 2 : tiles);
  if (workers > kMaxPositions / (pairs ? 2 : 1)) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("can't launch attention on {} tiles of queries, more than {}; split "
                            "the batch",
                            std::int64_t{problem.batch} * problem.heads * tiles, kMaxPositions));
  }
  const std::int64_t sms = std::max(room.sm_count, 1);
  return Dim3{.x = static_cast<std::uint32_t>(std::min(workers, sms)),
              .y = pairs && 2 * workers <= sms ? 2u : 1u};
}

}  // namespace

std::int64_t smem_bytes(const Sm90Tile& tile, int head_dim, int value_dim) {
  constexpr int kRowBytes = 128;  // of a panel, 64 columns
  const int panels = (head_dim + 63) / 64;
  const int value_panels = (value_dim + 63) / 64 + (tile.sum_column ? 1 : 0);
  const int queries = tile.query_stages * panels * Sm90Tile::kBlockM;
  const int keys_and_values = tile.stages * (panels + value_panels) * tile.block_n;
  const int biases = Sm90Tile::kWarpgroups * tile.bias_stages;  // of 64 rows
  const int barriers = 16 * (tile.query_stages + 2 * tile.stages + biases);
  const int scratch = 4 * 4 * Sm90Tile::kWarpgroups;  // a word a consumer warp
  return std::int64_t{kRowBytes} * (queries + keys_and_values + 64 * biases) + barriers + scratch;
}

std::int64_t smem_bytes(const Sm90Tile& tile, const Problem& problem) {
  // AttentionSlope's: 16 bytes a key, in whole kilobytes.
  const std::int64_t columns = has_slopes(problem) ? (16 * tile.block_n + 1023) / 1024 * 1024 : 0;
  return smem_bytes(tile, problem.head_dim, problem.value_columns()) + columns;
}

bool is_for_sm90(const Problem& problem) {
  return problem.dtype != DType::kFloat32 && problem.head_dim % 8 == 0 &&
         problem.value_columns() % 8 == 0;
}

Sm90Tile choose_sm90_tile(const Problem& problem) {
  Sm90Tile tile = tile_by_dims(problem);
  const int widest = widest_dim(problem);
  // With larger head dims there is no room for biases, and functions read them where they are.
  if (widest > 128 || problem.mods == nullptr || !problem.mods->names("bias_map")) return tile;
  tile.bias_stages = 4;  // two tiles, or four of few keys
  if (widest <= 64) {
    tile.stages = 3;
    if (tile.sum_column) tile.query_stages = 1;
    tile.query_registers = tile.sum_column && problem.mask == Mask::kFull;
  } else if (has_few_keys(problem)) {
    tile.query_stages = 1;
    tile.stages = std::min(tile.stages, 4);
  } else {
    tile.bias_stages = 2;  // queries ahead are worth more: 0.81 of plain instead of 0.79
  }
  return tile;
}

Result<ForwardPlan> plan_sm90(const Problem& problem, const Room& room, const Sm90Tile& tile) {
  FMS_TRY(auto kernel_template, template_with(problem.mods.get(), "attention_forward_sm90"));
  FMS_TRY(const Dim3 grid, grid_for(problem, room));

  const Schedule schedule = takes_pairs(problem) ? Schedule::kPairs : Schedule::kSnake;
  // Weights of a maximum that lags are small, and float16 ends at 2^-24.
  const int max_lag = problem.dtype == DType::kFloat16 ? 4 : 8;
  const bool tanh_approx = problem.softcap && problem.dtype == DType::kBFloat16;
  std::vector<Specialization::NamedValue> values = values_of(problem);
  if (!knows_last_tile(problem, tile)) {
    std::ranges::find(values, "kSeqK", &Specialization::NamedValue::first)->second =
        Value::dynamic();
  }
  values.insert(values.end(), {
                                  {"kWarpgroups", Value::integer(Sm90Tile::kWarpgroups)},
                                  {"kBlockN", Value::integer(tile.block_n)},
                                  {"kStages", Value::integer(tile.stages)},
                                  {"kQueryStages", Value::integer(tile.query_stages)},
                                  {"kSchedule", Value::choice(static_cast<int>(schedule))},
                                  {"kPingPong", Value::boolean(tile.ping_pong)},
                                  {"kPingPongDynamic", Value::boolean(tile.ping_pong_dynamic)},
                                  {"kQueryRegisters", Value::boolean(tile.query_registers)},
                                  {"kMaxLag", Value::integer(max_lag)},
                                  {"kUnrolled", Value::boolean(tile.unrolled)},
                                  {"kHoldByStore", Value::boolean(tile.hold_by_store)},
                                  {"kSumColumn", Value::boolean(tile.sum_column)},
                                  {"kTanhApprox", Value::boolean(tanh_approx)},
                                  {"kBiasStages", Value::integer(tile.bias_stages)},
                                  {"kBlockTable", Value::boolean(problem.block_table)},
                              });
  FMS_TRY(Specialization specialization, Specialization::make(std::move(kernel_template), values));
  const auto smem = static_cast<std::uint32_t>(smem_bytes(tile, problem));
  return ForwardPlan{.plan = {.specialization = std::move(specialization),
                              .config = {.grid = grid,
                                         .block = {.x = 128 * (Sm90Tile::kWarpgroups + 1)},
                                         .dynamic_smem_bytes = smem}},
                     .query_rows = Sm90Tile::kBlockM,
                     .key_rows = tile.block_n,
                     .block_m = Sm90Tile::kBlockM,
                     .block_n = tile.block_n,
                     .from_last = true};
}

}  // namespace fms::attention

#include "runtime/ops/attention_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <span>
#include <utility>

#include "runtime/ops/attention_candidates.h"
#include "runtime/ops/attention_mods.h"
#include "runtime/ops/attention_sm80.h"
#include "runtime/ops/attention_sm90.h"

namespace fms::attention {
namespace {

struct TileChoice {
  int max_head_dim;
  Tile tile;
};

// The first row that covers the head dim and of which tile.blocks blocks fit is taken. Measured on
// an H200 at 4096 keys, bf16 (TFLOP/s, of about 60 that fp32 multiply-adds can do): head dim 64
// 36.6; 96 35.0; 128 35.1; 192 32.9; 256 29.3. Tiles of 128 rows reach 38.8 and 37.1 at 64 and 128,
// but stand at the limit of registers, and fill the device with half as many queries.
constexpr TileChoice kTiles[] = {
    {64, {.block_m = 64, .block_n = 64, .threads = 128, .lanes = 16, .blocks = 2}},
    {64, {.block_m = 64, .block_n = 32, .threads = 128, .lanes = 16, .blocks = 1}},
    {96, {.block_m = 64, .block_n = 64, .threads = 128, .lanes = 16, .blocks = 2}},
    {96, {.block_m = 64, .block_n = 32, .threads = 128, .lanes = 16, .blocks = 1}},
    {128, {.block_m = 64, .block_n = 32, .threads = 128, .lanes = 16, .blocks = 1}},
    {128, {.block_m = 32, .block_n = 32, .threads = 128, .lanes = 16, .blocks = 1}},
    {192, {.block_m = 64, .block_n = 32, .threads = 128, .lanes = 16, .blocks = 2}},
    {192, {.block_m = 32, .block_n = 32, .threads = 128, .lanes = 16, .blocks = 1}},
    {256, {.block_m = 64, .block_n = 64, .threads = 256, .lanes = 32, .blocks = 1}},
    {256, {.block_m = 32, .block_n = 32, .threads = 128, .lanes = 16, .blocks = 1}},
    {256, {.block_m = 32, .block_n = 16, .threads = 128, .lanes = 16, .blocks = 1}},
    {256, {.block_m = 16, .block_n = 16, .threads = 64, .lanes = 16, .blocks = 1}},
};

constexpr int kFewQueries = 16;
constexpr TileChoice kFewQueriesTiles[] = {
    {128, {.block_m = 16, .block_n = 64, .threads = 128, .lanes = 32, .blocks = 2}},
    {128, {.block_m = 16, .block_n = 32, .threads = 128, .lanes = 32, .blocks = 1}},
    {256, {.block_m = 16, .block_n = 32, .threads = 128, .lanes = 32, .blocks = 1}},
    {256, {.block_m = 16, .block_n = 16, .threads = 64, .lanes = 16, .blocks = 1}},
};

// On a CPU shared memory is a stretch of its cache, and every tile fits. A thread's rows are code,
// so more threads compile sooner: with 128 threads those of 64 columns took twice as long to
// compile, and ran no faster.
constexpr TileChoice kCpuTiles[] = {
    {64, {.block_m = 64, .block_n = 64, .threads = 256, .lanes = 16}},
    {96, {.block_m = 64, .block_n = 64, .threads = 256, .lanes = 16}},
    {192, {.block_m = 64, .block_n = 32, .threads = 256, .lanes = 16}},
    {256, {.block_m = 64, .block_n = 64, .threads = 256, .lanes = 32}},
};
constexpr TileChoice kCpuFewQueriesTiles[] = {
    {128, {.block_m = 16, .block_n = 64, .threads = 128, .lanes = 32}},
    {256, {.block_m = 16, .block_n = 32, .threads = 128, .lanes = 32}},
};
constexpr Room kCpuRoom{.kind = Target::Kind::kCpu, .max_smem_per_block_bytes = 227 << 10};

std::span<const TileChoice> choices_for(const Problem& problem, Target::Kind kind) {
  const bool few = has_few_queries(problem);
  if (kind == Target::Kind::kCpu) {
    return few ? std::span<const TileChoice>(kCpuFewQueriesTiles) : kCpuTiles;
  }
  return few ? std::span<const TileChoice>(kFewQueriesTiles) : kTiles;
}

// Shared memory that a block may have, with opt-in, by compute capability (CUDA C++ Programming
// Guide, technical specifications): what the driver says of such a device. REQUIRES: kCuda.
int max_smem_of(const Target& target) {
  switch (target.compute_capability()) {
    case 75:
      return 64 << 10;
    case 80:
    case 87:
      return 163 << 10;
    case 86:
    case 89:
    case 120:
    case 121:
      return 99 << 10;
    default:  // 9.0, 10.x and 11.0
      return 227 << 10;
  }
}

int floats_of_odd_units(int floats) {
  const int units = (floats + 3) / 4;
  return 4 * (units % 2 == 0 ? units + 1 : units);
}

// Of a Hopper device, as most of them are: for a plan without one.
constexpr int kHopperSms = 132;

}  // namespace

std::int64_t smem_bytes(const Tile& tile, int head_dim, int value_dim) {
  const int width =
      value_dim % (4 * tile.lanes) == 0 ? 4 : (value_dim % (2 * tile.lanes) == 0 ? 2 : 1);
  const int run = width * tile.lanes;
  const int value_stride = ((value_dim + run - 1) / run * run + 3) / 4 * 4;
  const int dim_stride = floats_of_odd_units(head_dim);
  return std::int64_t{4} *
         (tile.block_m * dim_stride + tile.block_n * dim_stride + tile.block_n * value_stride +
          tile.block_m * floats_of_odd_units(tile.block_n));
}

Room room_of(const DeviceInfo& device) {
  if (device.compute_capability == 0) return kCpuRoom;
  const bool clusters = device.compute_capability >= 90;
  return {.max_smem_per_block_bytes = device.max_smem_per_block_bytes,
          .sm_count = clusters ? device.sm_count : 0,
          .sm_80 = device.compute_capability >= 80,
          .clusters = clusters,
          .sm_90a = device.compute_capability == 90};
}

Room room_of(const Target& target) {
  if (target.kind == Target::Kind::kCpu) return kCpuRoom;
  const bool clusters = target.compute_capability() >= 90;
  return {.max_smem_per_block_bytes = max_smem_of(target),
          .sm_count = clusters ? kHopperSms : 0,
          .sm_80 = target.compute_capability() >= 80,
          .clusters = clusters,
          .sm_90a = target.arch == "sm_90a"};
}

Room room_for(const Jit& jit, const Device& device) {
  Room room = room_of(device.info());
  const std::optional<Target>& target = jit.options().target;
  if (target && target->kind == Target::Kind::kCuda && target->arch != "sm_90a") {
    const Room its = room_of(*target);
    room.sm_80 = its.sm_80;
    room.clusters = its.clusters;
    room.sm_90a = false;
    if (!room.clusters) room.sm_count = 0;
  }
  return room;
}

Access best_access(const Problem& problem, const Room& room) {
  const bool for_sm80 = room.sm_80 && is_for_sm80(problem);
  // Few rows would leave most of a warpgroup's empty.
  const bool for_sm90 = room.sm_90a && is_for_sm90(problem) && !(for_sm80 && has_few_rows(problem));
  if (for_sm90) return Access::kBulk;
  if (for_sm80) return Access::kUnits;
  const bool whole_vectors = problem.head_dim % 4 == 0 && problem.value_columns() % 4 == 0;
  return whole_vectors ? Access::kVectors : Access::kElements;
}

bool has_few_queries(const Problem& problem) { return problem.seq_q <= kFewQueries; }

namespace {

std::int64_t smem_of(const Tile& tile, const Problem& problem) {
  return smem_bytes(tile, problem.head_dim, problem.value_columns());
}

}  // namespace

Tile choose_tile(const Problem& problem, const Room& room) {
  const std::span<const TileChoice> choices = choices_for(problem, room.kind);
  for (const TileChoice& choice : choices) {
    if (std::max(problem.head_dim, problem.value_columns()) <= choice.max_head_dim &&
        choice.tile.blocks * smem_of(choice.tile, problem) <= room.max_smem_per_block_bytes) {
      return choice.tile;
    }
  }
  return choices.back().tile;
}

namespace {

Result<ForwardPlan> plan_simt(const Problem& problem, const Room& room, const Tile& tile,
                              bool vector_loads) {
  const std::int64_t smem = smem_of(tile, problem);
  if (smem > room.max_smem_per_block_bytes) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("can't plan attention with head_dim {}: its smallest tile takes {} "
                            "bytes of shared memory and a block may have {}",
                            problem.head_dim, smem, room.max_smem_per_block_bytes));
  }
  const std::int64_t blocks = std::int64_t{problem.batch} * problem.heads *
                              ((problem.seq_q + tile.block_m - 1) / tile.block_m);
  if (blocks > std::numeric_limits<std::int32_t>::max()) {
    return fail(
        ErrorCode::kUnsupported,
        fmt::format("can't launch attention in {} blocks, more than the {} of a grid; split "
                    "the batch",
                    blocks, std::numeric_limits<std::int32_t>::max()));
  }

  FMS_TRY(auto kernel_template, template_with(problem.mods.get(), "attention_forward_simt"));
  std::vector<Specialization::NamedValue> values = values_of(problem);
  values.insert(values.end(), {
                                  {"kBlockM", Value::integer(tile.block_m)},
                                  {"kBlockN", Value::integer(tile.block_n)},
                                  {"kThreads", Value::integer(tile.threads)},
                                  {"kLanes", Value::integer(tile.lanes)},
                                  {"kBlocks", Value::integer(tile.blocks)},
                                  {"kVectorLoads", Value::boolean(vector_loads)},
                                  {"kBlockTable", Value::boolean(problem.block_table)},
                              });
  FMS_TRY(Specialization specialization, Specialization::make(std::move(kernel_template), values));
  return ForwardPlan{.plan = {.specialization = std::move(specialization),
                              .config = {.grid = {.x = static_cast<std::uint32_t>(blocks)},
                                         .block = {.x = static_cast<std::uint32_t>(tile.threads)},
                                         .dynamic_smem_bytes = static_cast<std::uint32_t>(smem)}},
                     .block_m = tile.block_m,
                     .block_n = tile.block_n};
}

Result<Plan> best_plan(const Problem& problem, const Room& room) {
  FMS_TRY(ForwardPlan made, plan_with(problem, room, Access::kBulk));
  return std::move(made.plan);
}

}  // namespace

std::vector<Specialization::NamedValue> values_of(const Problem& problem) {
  // The longest of packed sequences changes from batch to batch, and no kernel gains by it.
  const auto size = [&](int n) { return problem.packed ? Value::dynamic() : Value::integer(n); };
  return {
      {"T", Value::dtype(problem.dtype)},
      {"kHeadDim", Value::integer(problem.head_dim)},
      {"kValueDim", Value::integer(problem.value_columns())},
      {"kMask", Value::choice(static_cast<int>(problem.mask))},
      {"kSoftcap", Value::boolean(problem.softcap)},
      {"kSinks", Value::boolean(problem.sinks)},
      {"kPacked", Value::boolean(problem.packed)},
      {"kReturnLse", Value::boolean(problem.return_lse)},
      {"kGroup", Value::integer(problem.heads / problem.kv_heads)},
      {"kSeqQ", size(problem.seq_q)},
      {"kSeqK", size(problem.seq_k)},
  };
}

Result<ForwardPlan> plan_with(const Problem& problem, const Room& room, Access access,
                              std::string_view tile) {
  FMS_TRY_VOID(check(problem));
  access = std::min(access, best_access(problem, room));
  if (access == Access::kBulk) {
    const auto given = parse_sm90_tile(tile, problem, room);
    return plan_sm90(problem, room, given ? *given : choose_sm90_tile(problem));
  }
  if (access == Access::kUnits && is_for_sm80(problem)) {
    const auto given = parse_sm80_tile(tile, problem, room);
    return plan_sm80(problem, room, given ? *given : choose_sm80_tile(problem, room));
  }
  const auto given = parse_simt_tile(tile, problem, room);
  return plan_simt(problem, room, given ? *given : choose_tile(problem, room),
                   access >= Access::kVectors);
}

Result<Plan> plan(const Problem& problem, const DeviceInfo& device) {
  return best_plan(problem, room_of(device));
}

Result<Plan> plan(const Problem& problem, const Target& target) {
  return best_plan(problem, room_of(target));
}

Result<std::vector<Plan>> plans(const Problem& problem, const Target& target,
                                const Tunings& tunings) {
  return plans(problem, target, tunings, Access::kBulk);
}

Result<std::vector<Plan>> plans(const Problem& problem, const Target& target,
                                const Tunings& tunings, Access access) {
  const Room room = room_of(target);
  FMS_TRY(ForwardPlan chosen, plan_with(problem, room, access));
  std::vector<Plan> all{std::move(chosen.plan)};
  if (tunings.id() == 0 || problem.block_table) return all;
  const std::vector<const Tuning*> tuned = tunings.of_all_devices(
      all.front().specialization.kernel_template(), target, tile_class(problem, room, access));
  for (const Tuning* each : tuned) {
    FMS_TRY(ForwardPlan made, plan_with(problem, room, access, each->choice));
    const bool known = std::ranges::any_of(
        all, [&](const Plan& plan) { return plan.specialization == made.plan.specialization; });
    if (!known) all.push_back(std::move(made.plan));
  }
  return all;
}

}  // namespace fms::attention

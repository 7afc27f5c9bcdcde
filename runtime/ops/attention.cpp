#include "runtime/ops/attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <type_traits>

#include "runtime/ops/attention_arguments.h"
#include "runtime/ops/attention_bias.h"
#include "runtime/ops/attention_candidates.h"
#include "runtime/ops/attention_maps.h"
#include "runtime/ops/attention_plan.h"
#include "runtime/ops/remembered.h"

namespace fms::attention {
namespace {

// An argument of the kernels that take pointers: attention/strides.cuh.
struct Layout {
  Strides q, k, v, o;
};
static_assert(sizeof(Layout) == 96, "the kernel takes twelve 64-bit strides");

// All that decides a plan on a device.
struct PlanKey {
  Problem problem;
  Room room;
  Access access = Access::kElements;
  // 0 where nothing was tuned: then plans depend on facts of devices, and on no Jit.
  std::uint64_t tunings = 0;
  int ordinal = 0;  // of the device, where something was

  bool operator==(const PlanKey&) const = default;
};

struct PlanKeyHash {
  std::size_t operator()(const PlanKey& key) const {
    std::uint64_t hash = 0;
    const auto mix = [&](std::uint64_t value) {
      hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
      hash ^= hash >> 32;
    };
    const auto pair = [](int a, int b) {
      return static_cast<std::uint64_t>(static_cast<std::uint32_t>(a)) << 32 |
             static_cast<std::uint32_t>(b);
    };
    const Problem& p = key.problem;
    mix(pair(p.seq_q, p.seq_k));
    mix(pair(p.heads, p.kv_heads));
    mix(pair(p.batch, p.head_dim << 16 | p.value_dim));
    mix(pair(key.room.sm_count,
             static_cast<int>(key.room.kind) << 3 | static_cast<int>(key.room.clusters) << 2 |
                 static_cast<int>(key.room.sm_80) << 1 | static_cast<int>(key.room.sm_90a)));
    mix(pair(key.room.max_smem_per_block_bytes,
             static_cast<int>(p.dtype) << 16 | static_cast<int>(p.mask) << 8 |
                 static_cast<int>(p.block_table) << 6 | static_cast<int>(p.softcap) << 5 |
                 static_cast<int>(p.sinks) << 4 | static_cast<int>(p.packed) << 3 |
                 static_cast<int>(p.return_lse) << 2 | static_cast<int>(key.access)));
    mix(std::hash<const Mods*>()(p.mods.get()));  // of one content there is one
    mix(key.tunings << 8 ^ static_cast<std::uint64_t>(key.ordinal));
    return static_cast<std::size_t>(hash);
  }
};

// Plans that were made. One for the process. Never destroyed, so that threads which outlive main()
// may still use it.
using Plans = Remembered<PlanKey, ForwardPlan, PlanKeyHash>;
Plans& all_plans() {
  static Plans& all = *new Plans;
  return all;
}

// The plan of a key, by the tile that was tuned on the device if there is one. A block table is for
// the tile that its caller knows of.
Result<ForwardPlan> make_plan(const PlanKey& key, const Jit& jit, const Device& device,
                              const Tunings& tunings) {
  FMS_TRY(ForwardPlan chosen, plan_with(key.problem, key.room, key.access));
  if (tunings.id() == 0 || key.problem.block_table) return chosen;
  const Tuning* tuned =
      tunings.find(chosen.plan.specialization.kernel_template(), jit.target_of(device),
                   tuned_device(device.info()), tile_class(key.problem, key.room, key.access));
  if (tuned == nullptr) return chosen;
  return plan_with(key.problem, key.room, key.access, tuned->choice);
}

// Launches with `first`, what the kernel has before its options, and what all kernels have.
template <typename... First>
Result<void> launch_with(StreamView stream, const Kernel& kernel, const ForwardPlan& plan,
                         const Problem& problem, const Arguments& arguments,
                         const First&... first) {
  const DeviceOptions options = device_options(problem, arguments);
  const int batch_heads = problem.batch * problem.heads;
  const float scale = scale_log2(problem, arguments);
  // Without functions of the user's the kernel takes an empty struct, which is a byte.
  constexpr std::byte kNoMods{0};
  const Argument mods{problem.mods ? arguments.mods : &kNoMods,
                      problem.mods ? static_cast<std::uint32_t>(arguments.mods_bytes) : 1};
  const auto of = []<typename Value>(const Value& value) {
    std::size_t bytes = sizeof value;
    if constexpr (std::is_same_v<Value, PanelMaps>) bytes = value.count() * sizeof(TensorMap);
    return Argument{&value, static_cast<std::uint32_t>(bytes)};
  };
  const Argument list[] = {of(first)...,      of(options),       of(problem.heads), of(batch_heads),
                           of(problem.seq_q), of(problem.seq_k), of(scale),         mods};
  return launch(stream, plan.plan.config, kernel, std::span<const Argument>(list));
}

Result<void> launch_sm90(StreamView stream, const Kernel& kernel, const ForwardPlan& plan,
                         const Problem& problem, const Arguments& arguments) {
  FMS_TRY(const std::shared_ptr<const Maps> maps,
          maps_of(*kernel.device(), plan, problem, arguments));
  return launch_with(stream, kernel, plan, problem, arguments, maps->q, maps->k, maps->v,
                     arguments.o, arguments.lse, arguments.o_strides);
}

Result<void> launch_pointers(StreamView stream, const Kernel& kernel, const ForwardPlan& plan,
                             const Problem& problem, const Arguments& arguments) {
  const Layout layout{.q = arguments.q_strides,
                      .k = arguments.k_strides,
                      .v = arguments.v_strides,
                      .o = arguments.o_strides};
  return launch_with(stream, kernel, plan, problem, arguments, arguments.q, arguments.k,
                     arguments.v, arguments.o, arguments.lse, layout);
}

Result<void> check_block_table(const Problem& problem, const Arguments& arguments,
                               const ForwardPlan& plan) {
  const BlockTableView& table = arguments.block_table;
  if (!problem.block_table || (table.block_m == plan.block_m && table.block_n == plan.block_n &&
                               table.seq_q == problem.seq_q && table.seq_k == problem.seq_k)) {
    return {};
  }
  return fail(
      ErrorCode::kInvalidArgument,
      fmt::format("can't compute attention by this block table: it is for {} queries and {} "
                  "keys in tiles of {} x {}, and the call is of {} and {} in tiles of {} x "
                  "{}; make one for this problem and arrays aligned as these",
                  table.seq_q, table.seq_k, table.block_m, table.block_n, problem.seq_q,
                  problem.seq_k, plan.block_m, plan.block_n));
}

}  // namespace

Result<void> launch_plan(StreamView stream, const Kernel& kernel, const ForwardPlan& plan,
                         const Problem& problem, const Arguments& arguments) {
  const auto launch_it = plan.query_rows == 0 ? launch_pointers : launch_sm90;
  return launch_it(stream, kernel, plan, problem, arguments);
}

Strides bhsd_strides(int heads, int seq, int head_dim) {
  const std::int64_t head = std::int64_t{seq} * head_dim;
  return {.batch = heads * head, .head = head, .row = head_dim};
}

Result<void> forward(Jit& jit, const std::shared_ptr<Device>& device, StreamView stream,
                     const Problem& problem, const Arguments& arguments,
                     const GetOptions& options) {
  FMS_TRY_VOID(check(problem));
  FMS_TRY(Access access, check_arguments(problem, arguments));
  const Room room = room_for(jit, *device);
  // A manifest's attention entry means the variant for arrays that can be reached at best; others
  // are recorded as the specialisations they are; but a template's line has no room for the text
  // of the user's functions, so that an attention entry says how their arrays can be reached.
  const Access best = best_access(problem, room);
  access = std::min(access, best);
  const bool recorded = access == best || problem.mods != nullptr;
  if (access == Access::kBulk && problem.mods != nullptr && !problem.block_table) {
    FMS_TRY(const std::optional<BiasTiles> tiles, bias_as_tiles(*device, problem, arguments));
    if (tiles) {
      Problem with_tiles = problem;
      with_tiles.mods = tiles->mods;
      Arguments with_bytes = arguments;
      with_bytes.mods = tiles->bytes.data();
      with_bytes.mods_bytes = tiles->bytes.size();
      return forward(jit, device, stream, with_tiles, with_bytes, options);
    }
  }
  if (recorded && jit.recording()) {
    jit.record(access == best ? to_manifest_entry(problem) : to_manifest_entry(problem, access));
  }
  if (problem.seq_q == 0 || (problem.packed && arguments.total_q == 0)) return {};

  const Tunings& tunings = jit.tunings(room.kind);
  const PlanKey key{.problem = problem,
                    .room = room,
                    .access = access,
                    .tunings = tunings.id(),
                    .ordinal = tunings.id() == 0 ? 0 : device->info().ordinal};
  FMS_TRY(const std::shared_ptr<const ForwardPlan> plan,
          all_plans().get(key, [&] { return make_plan(key, jit, *device, tunings); }));
  FMS_TRY_VOID(check_block_table(problem, arguments, *plan));
  GetOptions how = options;
  how.stream = stream;
  how.record = !recorded;
  FMS_TRY(const Kernel kernel, jit.get(plan->plan.specialization, device, how));
  return launch_plan(stream, kernel, *plan, problem, arguments);
}

}  // namespace fms::attention

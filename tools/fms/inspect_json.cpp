#include "tools/fms/inspect_json.h"

#include <nlohmann/json.hpp>

namespace fms::program {
namespace {

using nlohmann::json;

json error_json(const Error& error) {
  return {{"code", to_string(error.code)}, {"message", error.message}, {"detail", error.detail}};
}

template <typename T>
json or_null(const std::optional<T>& value) {
  return value ? json(*value) : json(nullptr);
}

json extent_json(const std::optional<Dim3>& extent) {
  return extent ? json::array({extent->x, extent->y, extent->z}) : json(nullptr);
}

json launch_json(const Inspection& found) {
  return {{"grid", extent_json(found.launch.grid)},
          {"block", extent_json(found.launch.block)},
          {"threads_per_block", or_null(found.threads())},
          {"blocks", or_null(found.blocks())},
          {"dynamic_smem_bytes", found.launch.dynamic_smem_bytes},
          {"assumed_trips", found.launch.assumed_trips}};
}

json counts_json(const OperationCounts& counts) {
  json loaded, stored;
  for (std::size_t i = 0; i < kMemorySpaces; ++i) {
    const std::string space(to_string(static_cast<MemorySpace>(i)));
    loaded[space] = counts.loaded_bytes[i];
    stored[space] = counts.stored_bytes[i];
  }
  return {{"flops", counts.flops()},
          {"flops16", counts.flops16},
          {"flops32", counts.flops32},
          {"flops64", counts.flops64},
          {"special", counts.special},
          {"integer", counts.integer},
          {"loaded_bytes", std::move(loaded)},
          {"stored_bytes", std::move(stored)},
          {"atomics", counts.atomics},
          {"barriers", counts.barriers},
          {"warp_operations", counts.warp_operations},
          {"branches", counts.branches}};
}

json profile_json(const Inspection& found) {
  if (!found.profile) return {{"error", error_json(found.profile.error())}};
  const KernelProfile& profile = *found.profile;
  json loops = json::array();
  for (const LoopProfile& loop : profile.loops) {
    loops.push_back({{"file", loop.file},
                     {"line", loop.line},
                     {"depth", loop.depth},
                     {"trips", loop.trips},
                     {"known", loop.known}});
  }
  json result{{"thread", counts_json(profile.thread)},
              {"block", nullptr},
              {"launch", nullptr},
              {"loops", std::move(loops)},
              {"all_known", profile.all_known()},
              {"static_smem_bytes", profile.static_smem_bytes},
              {"max_threads", profile.max_threads},
              {"intensity", or_null(work_of(profile.thread).intensity())}};
  if (const auto block = found.block_counts()) result["block"] = counts_json(*block);
  if (const auto launch = found.launch_counts()) result["launch"] = counts_json(*launch);
  return result;
}

json roof_json(const Inspection& found, const Result<Roof>& roof) {
  if (!roof) return {{"error", error_json(roof.error())}};
  json result{{"origin", roof->measured ? "measured" : "given"},
              {"device", roof->device},
              {"precision", roof->precision},
              {"peak_flops", or_null(roof->peak_flops)},
              {"bytes_a_second", or_null(roof->bytes_a_second)},
              {"ridge", nullptr},
              {"bound_by", nullptr},
              {"attainable_flops", nullptr},
              {"lowest_seconds", nullptr}};
  if (roof->peak_flops && roof->bytes_a_second) {
    result["ridge"] = *roof->peak_flops / *roof->bytes_a_second;
  }
  if (!found.profile) return result;
  if (const auto bound = bound_of(*roof, work_of(found.profile->thread))) {
    result["bound_by"] = to_string(bound->by);
    result["attainable_flops"] = bound->attainable_flops;
  }
  if (const auto work = found.work()) {
    result["lowest_seconds"] = or_null(lowest_seconds(*roof, *work));
  }
  return result;
}

json occupancy_json(const Result<Occupancy>& found) {
  if (!found) return {{"error", error_json(found.error())}};
  json limits = json::array();
  for (const OccupancyLimit limit : found->limited_by) limits.push_back(to_string(limit));
  return {{"blocks", found->blocks},
          {"warps", found->warps},
          {"max_warps", found->max_warps},
          {"share", found->share()},
          {"limited_by", std::move(limits)}};
}

json sass_json(const Result<SassMix>& mix) {
  if (!mix) return {{"error", error_json(mix.error())}};
  json classes;
  for (std::size_t i = 0; i < kSassClasses; ++i) {
    classes[std::string(to_string(static_cast<SassClass>(i)))] = mix->counts[i];
  }
  return {{"instructions", mix->total()}, {"classes", std::move(classes)}};
}

json target_json(const InspectedTarget& one) {
  json result{{"target", one.target.to_string()}, {"kind", one.is_cpu() ? "cpu" : "cuda"}};
  if (!one.built) {
    result["error"] = error_json(one.built.error());
    return result;
  }
  const ObjectCode& object = one.built->object;
  const Resources& used = object.resources;
  const std::uint32_t parameter_bytes =
      used.parameters.empty() ? 0 : used.parameters.back().offset + used.parameters.back().size;
  result.update({{"key", one.built->key.hex()},
                 {"origin", to_string(one.built->origin)},
                 {"entry", object.entry},
                 {"format", to_string(object.format)},
                 {"bytes", object.bytes.size()},
                 {"compile_ms", object.compile_ms},
                 {"static_smem_bytes", used.static_smem_bytes},
                 {"max_threads", used.max_threads},
                 {"parameter_bytes", parameter_bytes}});
  if (one.is_cpu()) {
    result["frame_bytes"] = used.stack_bytes;
    if (one.cpu_code) {
      result["regions"] = one.cpu_code->regions;
      result["vector_bits"] = one.cpu_code->vector_bits;
    } else {
      result["code_error"] = error_json(one.cpu_code.error());
    }
    return result;
  }
  result.update({{"registers", used.registers},
                 {"spill_stores", used.spill_stores},
                 {"spill_loads", used.spill_loads},
                 {"stack_bytes", used.stack_bytes},
                 {"constant_bytes", one.constant_bytes},
                 {"serialized_wgmma", used.serialized_wgmma},
                 {"occupancy", occupancy_json(one.occupancy)},
                 {"sass", sass_json(one.sass)}});
  return result;
}

}  // namespace

json to_json(const Inspection& found) {
  json targets = json::array(), roofs = json::array();
  for (const InspectedTarget& one : found.targets) targets.push_back(target_json(one));
  for (const Result<Roof>& roof : found.roofs) roofs.push_back(roof_json(found, roof));
  return {{"specialization", found.specialization},
          {"launch", launch_json(found)},
          {"counts", profile_json(found)},
          {"roofs", std::move(roofs)},
          {"targets", std::move(targets)}};
}

}  // namespace fms::program

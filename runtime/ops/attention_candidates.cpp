#include "runtime/ops/attention_candidates.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>

namespace fms::attention {
namespace {

// Parameters that make up a tile, of any of the kernels. All others of a kernel are structure.
const std::set<std::string_view>& tile_parameters() {
  static const std::set<std::string_view> kNames = {
      "kBlockM",         "kBlockN",          "kThreads",     "kLanes",     "kBlocks",
      "kStages",         "kPingPong",        "kQueryStages", "kUnrolled",  "kHoldByStore",
      "kQueryRegisters", "kPingPongDynamic", "kBiasStages",  "kSumColumn", "kRowWarps",
      "kKeyWarps",       "kRowTiles",        "kOverlap"};
  return kNames;
}

// "name=value" of the parameters for which `wanted` is true of them and their values.
template <typename Wanted>
std::string values_as_text(const Specialization& specialization, const Wanted& wanted) {
  const auto parameters = specialization.kernel_template().parameters();
  std::string text;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (!wanted(parameters[i], specialization.values()[i])) continue;
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", parameters[i].name,
                        parameters[i].to_string(specialization.values()[i]));
  }
  return text;
}

}  // namespace

std::string tile_of(const Plan& plan) {
  return values_as_text(plan.specialization, [](const Parameter& parameter, const Value&) {
    return tile_parameters().contains(parameter.name);
  });
}

std::string tile_class(const Problem& problem, const Room& room, Access access) {
  const Result<ForwardPlan> plan = plan_with(problem, room, access);
  if (!plan) return {};
  // What is as the template has it by default goes without saying, but for what says most.
  const auto is_said = [](const Parameter& parameter, const Value& value) {
    if (parameter.kind == ParameterKind::kSize || tile_parameters().contains(parameter.name)) {
      return false;
    }
    return parameter.name == "T" || parameter.name == "kHeadDim" ||
           value != parameter.default_value;
  };
  std::string text = values_as_text(plan->plan.specialization, is_said);
  const std::string& kernel = plan->plan.specialization.kernel_template().name();
  if (kernel == "attention_forward_sm90") return text + (has_few_keys(problem) ? ", few keys" : "");
  if (kernel == "attention_forward_sm80") return text + (has_few_rows(problem) ? ", few rows" : "");
  return text + (has_few_queries(problem) ? ", few queries" : "");
}

std::vector<Candidate> candidates(const Problem& problem, const Room& room, Access access,
                                  int sm_count) {
  const Result<ForwardPlan> plan = plan_with(problem, room, access);
  if (!plan) return {};
  const std::string& kernel = plan->plan.specialization.kernel_template().name();
  std::vector<Candidate> all;
  if (kernel == "attention_forward_sm90") {
    all = sm90_candidates(problem, room, sm_count, choose_sm90_tile(problem));
  } else if (kernel == "attention_forward_sm80") {
    all = sm80_candidates(problem, room, sm_count, choose_sm80_tile(problem, room));
  } else {
    all = simt_candidates(problem, room, sm_count, choose_tile(problem, room));
  }
  const std::string chosen = tile_of(plan->plan);
  if (std::ranges::find(all, chosen, &Candidate::tile) == all.end()) {
    all.push_back({.tile = chosen,
                   .smem_bytes = static_cast<std::int64_t>(plan->plan.config.dynamic_smem_bytes)});
  }
  std::ranges::stable_sort(all, {}, [&](const Candidate& each) {
    return std::tuple(each.tile != chosen, !each.pruned.empty(), each.cost);
  });
  return all;
}

}  // namespace fms::attention

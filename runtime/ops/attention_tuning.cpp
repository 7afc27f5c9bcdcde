#include "runtime/ops/attention_tuning.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "runtime/ops/attention_tournament.h"

namespace fms::attention {
namespace {

// Medians of two runs differ by about this: no reason to leave the plan's tile.
constexpr double kNoise = 0.99;

}  // namespace

Result<TuningReport> Tournament::run() {
  const Problem& first = report_.problems.front();
  std::size_t wanted = 0;
  for (Candidate& each : candidates(first, room_, Access::kBulk, device_->info().sm_count)) {
    report_.candidates.push_back({.candidate = std::move(each)});
    TunedCandidate& added = report_.candidates.back();
    added.why = added.candidate.pruned;
    if (!added.why.empty()) continue;
    if (std::ranges::find(options_.without, added.candidate.tile) != options_.without.end()) {
      added.why = "it was to be left out";
      continue;
    }
    added.outcome = Outcome::kSkipped;
    added.why = "there was no time for it";
    if (options_.most == 0 || ++wanted <= options_.most) continue;
    added.outcome = Outcome::kPruned;
    added.why = "others promise more";
  }
  if (report_.candidates.empty())
    return std::unexpected(plan_with(first, room_, Access::kBulk).error());
  if (report_.candidates.front().outcome == Outcome::kPruned) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("can't tune {} without the plan's own tile: all others are compared "
                            "with it",
                            tile_class(first, room_, Access::kBulk)));
  }
  FMS_TRY(std::vector<Contender> contenders, screen(first));
  FMS_TRY_VOID(measure_finalists(contenders));
  FMS_TRY_VOID(choose());
  report_.seconds = seconds();
  return std::move(report_);
}

Result<void> Tournament::choose() {
  const std::vector<double>& own = report_.candidates.front().ms;
  double best = kNoise;
  for (std::size_t i = 1; i < report_.candidates.size(); ++i) {
    const TunedCandidate& each = report_.candidates[i];
    if (each.outcome != Outcome::kMeasured || each.ms.size() != own.size()) continue;
    double logarithms = 0;
    for (std::size_t p = 0; p < own.size(); ++p) logarithms += std::log(each.ms[p] / own[p]);
    const double ratio = std::exp(logarithms / static_cast<double>(own.size()));
    if (ratio >= best) continue;
    best = ratio;
    report_.best = i;
    report_.speedup = 1 / ratio;
  }
  FMS_TRY(const ForwardPlan winner, plan_of(report_.problems.front(), report_.best));
  const Specialization& specialization = winner.plan.specialization;
  FMS_TRY(const CompileRequest request, workshop_.request(specialization, target_));
  report_.seconds = seconds();
  report_.tuning = {
      .template_name = specialization.kernel_template().name(),
      .template_digest = specialization.kernel_template().digest().hex(),
      .target = target_.to_string(),
      .device = tuned_device(device_->info()),
      .compiler = request.compiler,
      .problem = tile_class(report_.problems.front(), room_, Access::kBulk),
      .choice = report_.candidates[report_.best].candidate.tile,
  };
  report_.tuning.evidence = evidence_of(report_, *device_);
  report_.kept = jit_.store() != nullptr && jit_.store()->put_tuning(report_.tuning);
  // So that no call after this waits for a compile, whatever its lengths are; if there is time.
  if (!is_late(0.95)) FMS_TRY_VOID(jit_.build(specialization.dynamic(), target_, options_.cancel));
  return {};
}

Result<TuningReport> tune(Jit& jit, const std::shared_ptr<Device>& device,
                          std::span<const Problem> problems, const TuneOptions& options) {
  for (const Problem& problem : problems) {
    FMS_TRY_VOID(check(problem));
    if (problem.seq_q == 0 || problem.seq_k == 0) {
      return fail(ErrorCode::kInvalidArgument, "can't tune attention with no queries or no keys");
    }
    if (problem.mods != nullptr || problem.block_table) {
      return fail(ErrorCode::kUnsupported,
                  "can't tune attention with functions of the user's or a block table: what they "
                  "read isn't known");
    }
  }
  return Tournament(jit, device, problems, options).run();
}

const Tuning* tuning_of(const Jit& jit, const Device& device, const Problem& problem) {
  const Room room = room_for(jit, device);
  const Result<ForwardPlan> plan = plan_with(problem, room, Access::kBulk);
  if (!plan) return nullptr;
  return jit.tunings(room.kind).find(plan->plan.specialization.kernel_template(),
                                     jit.target_of(device), tuned_device(device.info()),
                                     tile_class(problem, room, Access::kBulk));
}

}  // namespace fms::attention

#include "runtime/ops/attention_tournament.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace fms::attention {
namespace {

using Clock = Tournament::Clock;

// Of the time for a class, what compiling may take and what may have passed when the tiles that
// are left are measured.
constexpr double kCompileShare = 0.5, kScreenShare = 0.75;

// Who is slower than the best by this much after the first and the second look is out. At least
// kFinalists go on, and at most kMostFinalists, since on the other problems each is compiled anew.
constexpr double kFirstLook = 1.15, kSecondLook = 1.04;
constexpr std::size_t kFinalists = 3, kMostFinalists = 6;
constexpr int kFirstRounds = 5, kSecondRounds = 15, kFinalRounds = 60, kFewestRounds = 3;

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

Tournament::Tournament(Jit& jit, const std::shared_ptr<Device>& device,
                       std::span<const Problem> problems, const TuneOptions& options)
    : jit_(jit),
      workshop_(options.workshop != nullptr ? *options.workshop : jit),
      device_(device),
      target_(jit.target_of(*device)),
      room_(room_for(jit, *device)),
      options_(options),
      started_(Clock::now()),
      seconds_(options.seconds * static_cast<double>(problems.size())) {
  report_.problems.assign(problems.begin(), problems.end());
}

Result<void> Tournament::check_cancelled() const {
  if (!options_.cancel.cancelled()) return {};
  return fail(ErrorCode::kCancelled, "tuning was cancelled");
}

Result<void> Tournament::compile(std::span<const Specialization> specializations, double share) {
  if (options_.compile) return options_.compile(specializations, after(share));
  for (std::size_t i = 0; i < specializations.size(); ++i) {
    FMS_TRY_VOID(check_cancelled());
    // The first is what all others are compared with.
    if (i > 0 && is_late(share)) return {};
    tell("compiling", i, specializations.size());
    static_cast<void>(workshop_.build(specializations[i], target_, options_.cancel));
  }
  return {};
}

Result<bool> Tournament::was_compiled(const Specialization& specialization) {
  if (workshop_.store() == nullptr) return true;
  FMS_TRY(const bool there, workshop_.has(specialization, target_));  // in any of its stores
  if (there) return true;
  FMS_TRY(const CompileRequest request, workshop_.request(specialization, target_));
  return workshop_.store()->presence(cache_key(request)) != Presence::kNothing;
}

Result<Tournament::Entrant> Tournament::load(ForwardPlan plan,
                                             const Specialization& specialization) {
  FMS_TRY(const Built built, workshop_.build(specialization, target_, options_.cancel));
  FMS_TRY(Kernel kernel, Kernel::load(device_, built.object));
  return Entrant{.plan = std::move(plan), .kernel = std::move(kernel), .ms = {}};
}

Result<TuningTrial> Tournament::make_trial(const Problem& problem, unsigned seed) {
  tell("making arrays", 0, 1);
  FMS_TRY(TuningTrial trial, TuningTrial::create(device_, problem, seed));
  if (options_.stuck) {
    trial.on_stuck(options_.patience,
                   [this](const Entrant& entrant) { options_.stuck(tile_of(entrant.plan.plan)); });
  }
  return trial;
}

// Takes a candidate into the running if it compiles and computes the right thing. The first to
// enter is the plan's own tile, and what the others are compared with.
Result<void> Tournament::enter(TuningTrial& trial, ForwardPlan plan, std::size_t index,
                               std::vector<Contender>& contenders) {
  const Specialization specialization = plan.plan.specialization;
  FMS_TRY(const bool compiled, was_compiled(specialization));
  if (!compiled && index > 0) {
    put_out(index, Outcome::kSkipped, "there was no time to compile it");
    return {};
  }
  Result<Entrant> entrant = load(std::move(plan), specialization);
  FMS_TRY_VOID(check_cancelled());
  if (!entrant) {
    if (index == 0) return std::unexpected(std::move(entrant).error());
    put_out(index, Outcome::kRejected, entrant.error().message);
    return {};
  }
  report_.candidates[index].registers = entrant->kernel.resources().registers;
  if (index == 0) {
    FMS_TRY_VOID(trial.expect(*entrant));
  } else {
    FMS_TRY(const bool good, passes(trial, index, *entrant, ""));
    if (!good) return {};
  }
  put_out(index, Outcome::kMeasured, "");
  contenders.push_back({.index = index, .entrant = *std::move(entrant)});
  return {};
}

Result<bool> Tournament::passes(TuningTrial& trial, std::size_t index, const Entrant& entrant,
                                std::string_view what) {
  auto verdict = trial.compare(entrant);
  if (!verdict) {
    Error error = verdict.error();
    error.message = fmt::format(
        "{}'{}' fails on {}, which this process can't use any more: {}; tune again without that "
        "tile",
        what, report_.candidates[index].candidate.tile, device_->info().name, error.message);
    return std::unexpected(std::move(error));
  }
  if (verdict->good()) return true;
  put_out(index, verdict->launched ? Outcome::kWrong : Outcome::kRejected,
          std::string(what) + verdict->fault);
  return false;
}

Result<void> Tournament::time(TuningTrial& trial, std::vector<Contender>& contenders, int rounds) {
  std::vector<Entrant*> entrants;
  for (Contender& each : contenders) entrants.push_back(&each.entrant);
  return trial.time(entrants, rounds);
}

// As many rounds as there is time for until then, measured by one.
Result<int> Tournament::rounds_for(TuningTrial& trial, std::vector<Contender>& contenders, int most,
                                   double share) {
  const Clock::time_point begun = Clock::now();
  FMS_TRY_VOID(time(trial, contenders, 1));
  const double one = std::max(seconds_between(begun, Clock::now()), 1e-6);
  const double left = seconds_between(Clock::now(), after(share));
  return static_cast<int>(std::clamp(left / one, double{kFewestRounds}, double(most)));
}

// Times all, and puts out those that are too slow, and the slowest if there are too many.
Result<void> Tournament::look(TuningTrial& trial, std::vector<Contender>& contenders, int rounds,
                              double slower_than, std::size_t most) {
  FMS_TRY_VOID(check_cancelled());
  FMS_TRY(const int affordable, rounds_for(trial, contenders, rounds, kScreenShare));
  tell("measuring", 0, contenders.size());
  FMS_TRY_VOID(time(trial, contenders, affordable));
  for (Contender& each : contenders) of(each).ms = {median(each.entrant.ms)};
  const auto ms_of = [&](const Contender& each) { return of(each).ms.front(); };
  // The plan's own tile stays, whatever its time: speed-ups are over it.
  std::ranges::sort(contenders, [&](const Contender& a, const Contender& b) {
    return std::pair(a.index != 0, ms_of(a)) < std::pair(b.index != 0, ms_of(b));
  });
  double best = ms_of(contenders.front());
  if (contenders.size() > 1) best = std::min(best, ms_of(contenders[1]));
  std::size_t stay = 1;
  while (stay < contenders.size() && stay < most &&
         (stay < kFinalists || ms_of(contenders[stay]) <= slower_than * best)) {
    ++stay;
  }
  for (std::size_t i = stay; i < contenders.size(); ++i) {
    put_out(contenders[i].index, Outcome::kDropped,
            fmt::format("{:.3f} times the best on the first problem", ms_of(contenders[i]) / best));
  }
  contenders.erase(contenders.begin() + static_cast<std::ptrdiff_t>(stay), contenders.end());
  return {};
}

// Plans of these candidates for a problem. Those that it can't be made with are out.
Result<std::vector<Tournament::Planned>> Tournament::plan_all(
    const Problem& problem, std::span<const std::size_t> indices) {
  std::vector<Planned> planned;
  for (const std::size_t index : indices) {
    Result<ForwardPlan> plan = plan_of(problem, index);
    if (plan) {
      planned.push_back({index, *std::move(plan)});
    } else if (index == 0) {
      return std::unexpected(std::move(plan).error());
    } else {
      put_out(index, Outcome::kRejected, plan.error().message);
    }
  }
  return planned;
}

// The first problem: from all candidates that aren't pruned to a few.
Result<std::vector<Contender>> Tournament::screen(const Problem& problem) {
  FMS_TRY_VOID(check_cancelled());
  std::vector<std::size_t> tried;
  for (std::size_t i = 0; i < report_.candidates.size(); ++i) {
    if (report_.candidates[i].outcome != Outcome::kPruned) tried.push_back(i);
  }
  FMS_TRY(std::vector<Planned> planned, plan_all(problem, tried));
  std::vector<Specialization> specializations;
  for (const Planned& each : planned) specializations.push_back(each.plan.plan.specialization);
  FMS_TRY_VOID(compile(specializations, kCompileShare));
  FMS_TRY(TuningTrial trial, make_trial(problem, 1));
  std::vector<Contender> contenders;
  for (std::size_t i = 0; i < planned.size(); ++i) {
    tell("checking", i, planned.size());
    FMS_TRY_VOID(enter(trial, std::move(planned[i].plan), planned[i].index, contenders));
    if (i > 0 && is_late(kScreenShare)) break;
  }
  FMS_TRY_VOID(look(trial, contenders, kFirstRounds, kFirstLook, contenders.size()));
  FMS_TRY_VOID(look(trial, contenders, kSecondRounds, kSecondLook, kMostFinalists));
  return contenders;
}

// A winner must serve new lengths too: by a dynamic variant that compiles and gives the same bits.
Result<void> Tournament::check_dynamic(TuningTrial& trial, Contender& contender) {
  const Specialization& exact = contender.entrant.plan.plan.specialization;
  if (!exact.has_exact_size()) return {};
  FMS_TRY(const bool compiled, was_compiled(exact.dynamic()));
  if (!compiled) {
    put_out(contender.index, Outcome::kSkipped, "there was no time to compile its dynamic variant");
    return {};
  }
  Result<Entrant> dynamic = load(contender.entrant.plan, exact.dynamic());
  FMS_TRY_VOID(check_cancelled());
  if (!dynamic) {
    put_out(contender.index, Outcome::kRejected,
            fmt::format("its dynamic variant: {}", dynamic.error().message));
    return {};
  }
  FMS_TRY(const bool good, passes(trial, contender.index, *dynamic, "its dynamic variant: "));
  if (!good) return {};
  FMS_TRY(const bool same, trial.same_bits(contender.entrant, *dynamic));
  if (!same) put_out(contender.index, Outcome::kWrong, "its dynamic variant gives other bits");
  return {};
}

Result<void> Tournament::measure_on(const Problem& problem, unsigned seed, double share,
                                    std::vector<Contender>& contenders) {
  std::vector<std::size_t> left;
  for (const Contender& each : contenders) left.push_back(each.index);
  FMS_TRY(std::vector<Planned> planned, plan_all(problem, left));
  std::vector<Specialization> specializations;
  for (const Planned& each : planned) {
    specializations.push_back(each.plan.plan.specialization);
    if (specializations.back().has_exact_size()) {
      specializations.push_back(specializations.back().dynamic());
    }
  }
  FMS_TRY_VOID(compile(specializations, share));
  FMS_TRY(TuningTrial trial, make_trial(problem, seed));
  std::vector<Contender> here;
  for (std::size_t i = 0; i < planned.size(); ++i) {
    tell("checking", i, planned.size());
    FMS_TRY_VOID(enter(trial, std::move(planned[i].plan), planned[i].index, here));
  }
  for (Contender& each : here) {
    // The plan's own tile isn't on trial.
    if (each.index > 0) FMS_TRY_VOID(check_dynamic(trial, each));
  }
  std::erase_if(here,
                [&](const Contender& each) { return of(each).outcome != Outcome::kMeasured; });
  FMS_TRY(const int rounds, rounds_for(trial, here, kFinalRounds, share));
  tell("measuring", 0, here.size());
  FMS_TRY_VOID(time(trial, here, rounds));
  for (Contender& each : here) of(each).ms.push_back(median(each.entrant.ms));
  contenders = std::move(here);
  return {};
}

Result<void> Tournament::measure_finalists(std::vector<Contender>& contenders) {
  // Measured anew, on other arrays: a time that was lucky isn't to decide.
  for (Contender& each : contenders) of(each).ms.clear();
  const double count = static_cast<double>(report_.problems.size());
  for (std::size_t i = 0; i < report_.problems.size(); ++i) {
    FMS_TRY_VOID(check_cancelled());
    const double share = kScreenShare + (0.95 - kScreenShare) * static_cast<double>(i + 1) / count;
    FMS_TRY_VOID(measure_on(report_.problems[i], static_cast<unsigned>(i + 2), share, contenders));
  }
  return {};
}

}  // namespace fms::attention

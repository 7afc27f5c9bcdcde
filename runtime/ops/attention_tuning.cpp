#include "runtime/ops/attention_tuning.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "runtime/ops/tuning_trial.h"

namespace fms::attention {
namespace {

using Clock = std::chrono::steady_clock;
using Entrant = TuningTrial::Entrant;

// Of the time for a class, what compiling may take and what may have passed when the tiles that
// are left are measured.
constexpr double kCompileShare = 0.5, kScreenShare = 0.75;

// Who is slower than the best by this much after the first and the second look is out. At least
// kFinalists go on, and at most kMostFinalists, since on the other problems each is compiled anew.
constexpr double kFirstLook = 1.15, kSecondLook = 1.04;
constexpr std::size_t kFinalists = 3, kMostFinalists = 6;
constexpr int kFirstRounds = 5, kSecondRounds = 15, kFinalRounds = 60, kFewestRounds = 3;

// Medians of two runs differ by about this: no reason to leave the plan's tile.
constexpr double kNoise = 0.99;

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

// A candidate that is still in the running.
struct Contender {
  std::size_t index = 0;  // in the report
  Entrant entrant;        // on the problem at hand
};

class Tournament {
 public:
  Tournament(Jit& jit, const std::shared_ptr<Device>& device, std::span<const Problem> problems,
             const TuneOptions& options)
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

  Result<TuningReport> run() {
    const Problem& first = report_.problems.front();
    std::size_t wanted = 0;
    for (Candidate& each : candidates(first, room_, Access::kBulk, device_->info().sm_count)) {
      report_.candidates.push_back({.candidate = std::move(each)});
      TunedCandidate& added = report_.candidates.back();
      added.why = added.candidate.pruned;
      if (!added.why.empty()) continue;
      added.outcome = Outcome::kSkipped;
      added.why = "there was no time for it";
      if (options_.most == 0 || ++wanted <= options_.most) continue;
      added.outcome = Outcome::kPruned;
      added.why = "others promise more";
    }
    if (report_.candidates.empty())
      return std::unexpected(plan_with(first, room_, Access::kBulk).error());
    FMS_TRY(std::vector<Contender> contenders, screen(first));
    FMS_TRY_VOID(measure_finalists(contenders));
    FMS_TRY_VOID(choose());
    report_.seconds = seconds_between(started_, Clock::now());
    return std::move(report_);
  }

 private:
  Clock::time_point after(double share) const {
    return started_ + std::chrono::duration_cast<Clock::duration>(
                          std::chrono::duration<double>(share * seconds_));
  }
  bool is_late(double share) const { return Clock::now() >= after(share); }

  Result<void> check_cancelled() const {
    if (!options_.cancel.cancelled()) return {};
    return fail(ErrorCode::kCancelled, "tuning was cancelled");
  }
  void tell(std::string_view doing, std::size_t done, std::size_t total) const {
    if (options_.progress) options_.progress(doing, done, total);
  }

  TunedCandidate& of(const Contender& contender) { return report_.candidates[contender.index]; }
  void put_out(const Contender& contender, Outcome outcome, std::string why) {
    of(contender).outcome = outcome;
    of(contender).why = std::move(why);
  }

  Result<ForwardPlan> plan_of(const Problem& problem, std::size_t index) const {
    return plan_with(problem, room_, Access::kBulk, report_.candidates[index].candidate.tile);
  }

  // Has the code of all of these made, as far as there is time.
  Result<void> compile(std::span<const Specialization> specializations, double share) {
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

  // False if nobody has compiled it, and it isn't known to fail.
  Result<bool> was_compiled(const Specialization& specialization) {
    if (workshop_.store() == nullptr) return true;
    FMS_TRY(const CompileRequest request, workshop_.request(specialization, target_));
    return workshop_.store()->presence(cache_key(request)) != Presence::kNothing;
  }

  Result<Entrant> load(ForwardPlan plan, const Specialization& specialization) {
    FMS_TRY(const Built built, workshop_.build(specialization, target_, options_.cancel));
    FMS_TRY(Kernel kernel, Kernel::load(device_, built.object));
    return Entrant{.plan = std::move(plan), .kernel = std::move(kernel), .ms = {}};
  }

  Result<std::vector<Contender>> screen(const Problem& problem);
  Result<void> enter(TuningTrial& trial, const ForwardPlan& plan, std::size_t index,
                     std::vector<Contender>& contenders);
  Result<void> look(TuningTrial& trial, std::vector<Contender>& contenders, int rounds,
                    double slower_than, std::size_t most);
  Result<void> measure_finalists(std::vector<Contender>& contenders);
  Result<void> check_dynamic(TuningTrial& trial, Contender& contender);
  Result<void> measure_on(const Problem& problem, unsigned seed, double share,
                          std::vector<Contender>& contenders);
  Result<int> rounds_for(TuningTrial& trial, std::vector<Contender>& contenders, int most,
                         double share);
  Result<void> time(TuningTrial& trial, std::vector<Contender>& contenders, int rounds);
  Result<void> choose();

  Jit& jit_;
  Jit& workshop_;
  std::shared_ptr<Device> device_;
  const Target target_;
  const Room room_;
  const TuneOptions& options_;
  const Clock::time_point started_;
  const double seconds_;
  TuningReport report_;
};

// Takes a candidate into the running if it compiles and computes the right thing. The first to
// enter is the plan's own tile, and what the others are compared with.
Result<void> Tournament::enter(TuningTrial& trial, const ForwardPlan& plan, std::size_t index,
                               std::vector<Contender>& contenders) {
  TunedCandidate& candidate = report_.candidates[index];
  const Specialization& specialization = plan.plan.specialization;
  FMS_TRY(const bool compiled, was_compiled(specialization));
  if (!compiled && index > 0) {
    candidate.outcome = Outcome::kSkipped;
    candidate.why = "there was no time to compile it";
    return {};
  }
  Result<Entrant> entrant = load(plan, specialization);
  FMS_TRY_VOID(check_cancelled());
  if (!entrant) {
    if (index == 0) return std::unexpected(std::move(entrant).error());
    candidate.outcome = Outcome::kRejected;
    candidate.why = entrant.error().message;
    return {};
  }
  candidate.registers = entrant->kernel.resources().registers;
  if (index == 0) {
    FMS_TRY_VOID(trial.expect(*entrant));
  } else {
    FMS_TRY(const std::string fault, trial.compare(*entrant));
    if (!fault.empty()) {
      candidate.outcome = Outcome::kWrong;
      candidate.why = fault;
      return {};
    }
  }
  candidate.outcome = Outcome::kMeasured;
  candidate.why.clear();
  contenders.push_back({.index = index, .entrant = *std::move(entrant)});
  return {};
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
    put_out(contenders[i], Outcome::kDropped,
            fmt::format("{:.3f} times the best on the first problem", ms_of(contenders[i]) / best));
  }
  contenders.erase(contenders.begin() + static_cast<std::ptrdiff_t>(stay), contenders.end());
  return {};
}

// The first problem: from all candidates that aren't pruned to a few.
Result<std::vector<Contender>> Tournament::screen(const Problem& problem) {
  std::vector<ForwardPlan> plans;
  std::vector<Specialization> specializations;
  for (std::size_t i = 0; i < report_.candidates.size(); ++i) {
    if (report_.candidates[i].outcome == Outcome::kPruned) continue;
    FMS_TRY(ForwardPlan plan, plan_of(problem, i));
    specializations.push_back(plan.plan.specialization);
    plans.push_back(std::move(plan));
  }
  FMS_TRY_VOID(compile(specializations, kCompileShare));
  FMS_TRY(TuningTrial trial, TuningTrial::create(device_, problem, 1));
  std::vector<Contender> contenders;
  std::size_t at = 0;
  for (std::size_t i = 0; i < report_.candidates.size(); ++i) {
    if (report_.candidates[i].outcome == Outcome::kPruned) continue;
    tell("checking", at, plans.size());
    FMS_TRY_VOID(enter(trial, plans[at++], i, contenders));
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
    put_out(contender, Outcome::kSkipped, "there was no time to compile its dynamic variant");
    return {};
  }
  Result<Entrant> dynamic = load(contender.entrant.plan, exact.dynamic());
  FMS_TRY_VOID(check_cancelled());
  if (!dynamic) {
    put_out(contender, Outcome::kRejected,
            fmt::format("its dynamic variant: {}", dynamic.error().message));
    return {};
  }
  FMS_TRY(const bool same, trial.same_bits(contender.entrant, *dynamic));
  if (!same) put_out(contender, Outcome::kWrong, "its dynamic variant gives other bits");
  return {};
}

Result<void> Tournament::measure_on(const Problem& problem, unsigned seed, double share,
                                    std::vector<Contender>& contenders) {
  std::vector<ForwardPlan> plans;
  std::vector<Specialization> specializations;
  for (const Contender& each : contenders) {
    FMS_TRY(ForwardPlan plan, plan_of(problem, each.index));
    specializations.push_back(plan.plan.specialization);
    if (specializations.back().has_exact_size()) {
      specializations.push_back(specializations.back().dynamic());
    }
    plans.push_back(std::move(plan));
  }
  FMS_TRY_VOID(compile(specializations, share));
  FMS_TRY(TuningTrial trial, TuningTrial::create(device_, problem, seed));
  std::vector<Contender> here;
  for (std::size_t i = 0; i < contenders.size(); ++i) {
    tell("checking", i, contenders.size());
    FMS_TRY_VOID(enter(trial, plans[i], contenders[i].index, here));
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
  report_.seconds = seconds_between(started_, Clock::now());
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

}  // namespace

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

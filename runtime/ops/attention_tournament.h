#pragma once

// Internal. Not installed.

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/ops/attention_tuning.h"
#include "runtime/ops/tuning_trial.h"

namespace fms::attention {

// A candidate that is still in the running.
struct Contender {
  std::size_t index = 0;         // in the report
  TuningTrial::Entrant entrant;  // on the problem at hand
};

// What tune() does: candidates compute, take turns, and go out, until one is left.
//
// Of one run, and for one thread.
class Tournament {
 public:
  using Clock = std::chrono::steady_clock;
  using Entrant = TuningTrial::Entrant;

  Tournament(Jit& jit, const std::shared_ptr<Device>& device, std::span<const Problem> problems,
             const TuneOptions& options);

  Result<TuningReport> run();

 private:
  Clock::time_point after(double share) const {
    return started_ + std::chrono::duration_cast<Clock::duration>(
                          std::chrono::duration<double>(share * seconds_));
  }
  double seconds() const { return std::chrono::duration<double>(Clock::now() - started_).count(); }
  bool is_late(double share) const { return Clock::now() >= after(share); }

  Result<void> check_cancelled() const;
  void tell(std::string_view doing, std::size_t done, std::size_t total) const {
    if (options_.progress) options_.progress(doing, done, total);
  }

  TunedCandidate& of(const Contender& contender) { return report_.candidates[contender.index]; }
  void put_out(std::size_t index, Outcome outcome, std::string why) {
    report_.candidates[index].outcome = outcome;
    report_.candidates[index].why = std::move(why);
  }

  Result<ForwardPlan> plan_of(const Problem& problem, std::size_t index) const {
    return plan_with(problem, room_, Access::kBulk, report_.candidates[index].candidate.tile);
  }

  // Has the code of all of these made, as far as there is time.
  Result<void> compile(std::span<const Specialization> specializations, double share);
  // False if nobody has compiled it, and it isn't known to fail.
  Result<bool> was_compiled(const Specialization& specialization);
  Result<Entrant> load(ForwardPlan plan, const Specialization& specialization);
  Result<TuningTrial> make_trial(const Problem& problem, unsigned seed);
  // Whether it computes the right thing; if not, it is put out. `what` begins the reason.
  Result<bool> passes(TuningTrial& trial, std::size_t index, const Entrant& entrant,
                      std::string_view what);

  struct Planned {
    std::size_t index = 0;  // in the report
    ForwardPlan plan;
  };
  Result<std::vector<Planned>> plan_all(const Problem& problem,
                                        std::span<const std::size_t> indices);
  Result<std::vector<Contender>> screen(const Problem& problem);
  Result<void> enter(TuningTrial& trial, ForwardPlan plan, std::size_t index,
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

}  // namespace fms::attention

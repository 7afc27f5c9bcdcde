#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/jit.h"
#include "runtime/ops/attention_candidates.h"

namespace fms::attention {

// How far a candidate came.
enum class Outcome : std::uint8_t {
  kPruned,    // predicted to be no good, and not compiled
  kSkipped,   // there was no time for it
  kRejected,  // it doesn't compile, spills registers, or can't be launched
  kWrong,     // it computes something else
  kDropped,   // slower than others on the first problem, and not measured further
  kMeasured,
};
std::string_view to_string(Outcome outcome);  // "pruned", "skipped", ...

struct TunedCandidate {
  Candidate candidate;
  Outcome outcome = Outcome::kPruned;
  std::string why;         // of an outcome that isn't kMeasured
  int registers = 0;       // of a thread, as compiled
  std::vector<double> ms;  // medians: of each problem, or of the first alone if it was dropped
};

// What tune() found for problems of one tile class.
struct TuningReport {
  std::vector<Problem> problems;
  std::vector<TunedCandidate> candidates;  // the plan's own tile first
  std::size_t best = 0;                    // among them; 0 too if none is faster by more than noise
  double speedup = 1;  // over the plan's own tile: the geometric mean over the problems
  double seconds = 0;
  Tuning tuning;      // what was kept; evidence_of() as its evidence
  bool kept = false;  // false: there is no store that may be written
};

struct TuneOptions {
  double seconds = 60;   // at most, for each problem
  std::size_t most = 0;  // of candidates, those that promise most; 0: all that aren't pruned
  // Where candidates are compiled, so that a store needn't keep those that lose; null: the Jit that
  // is tuned.
  Jit* workshop = nullptr;
  // Has the workshop's store hold the code of as many of these as can be by the deadline, the first
  // ones first. Fails only if nothing can go on. Empty: they are built here, one after another.
  std::function<Result<void>(std::span<const Specialization>,
                             std::chrono::steady_clock::time_point)>
      compile;
  std::function<void(std::string_view doing, std::size_t done, std::size_t total)> progress;
  CancelToken cancel;
  std::vector<std::string> without;  // tiles that aren't tried
  // Called with a tile whose kernel hasn't ended after `patience`. Only the end of the process can
  // stop it, and nothing that is on the device can be released before: this is to say so and end
  // the process. If it returns, or is empty, the kernel is waited for.
  std::chrono::duration<double> patience{20};
  std::function<void(std::string_view tile)> stuck;
};

// Finds the fastest tile for these problems together, and keeps it in the store of `jit`: the plan
// then uses it for all problems of that class, of any lengths, in every process that opens the
// store from now on, this one excepted.
//
// Candidates compute on random arrays. One whose result isn't that of the plan's own tile, within
// rounding, or whose dynamic variant gives other bits than its exact one, can't win.
//
// kUnsupported: with functions of the user's or a block table. REQUIRES: all problems are of one
// tile_class() on the device.
Result<TuningReport> tune(Jit& jit, const std::shared_ptr<Device>& device,
                          std::span<const Problem> problems, const TuneOptions& options = {});

// The tuning that the Jit's plans use for a problem; null: none. What tune() replaces.
const Tuning* tuning_of(const Jit& jit, const Device& device, const Problem& problem);

// What a tuning rests on, as JSON (runtime/ops/README.md describes it).
std::string evidence_of(const TuningReport& report, const Device& device);

}  // namespace fms::attention

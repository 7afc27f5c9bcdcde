#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/kernel_store.h"
#include "compiler/compiler.h"
#include "runtime/build_lock.h"
#include "runtime/compilers.h"
#include "runtime/jit.h"
#include "runtime/single_flight.h"
#include "runtime/tunings.h"

namespace fms {

// From a specialisation to object code: the store's tiers, the locks, the compilers. Needs
// no device.
//
// Thread-safe.
class Builder {
 public:
  // Opens the store as far as it can be: without a usable folder it works without one, and says so.
  explicit Builder(const JitOptions& options);

  Result<Built> build(const Specialization& specialization, const Target& target,
                      const CancelToken& cancel);
  // The same, but what the store holds is not believed: compiled anew, and kept in its place.
  Result<Built> rebuild(const Specialization& specialization, const Target& target);
  // Only what is in the store; nothing if that is a miss or a failure.
  std::optional<Built> find(const Specialization& specialization, const Target& target);
  Result<bool> has(const Specialization& specialization, const Target& target);
  Result<CompileRequest> request(const Specialization& specialization, const Target& target);
  Result<std::shared_ptr<const Compiler>> compiler(Target::Kind kind);
  // Those of the tiers that were measured with a compiler whose code build() would take. Trouble
  // with a tier is told, and its tunings are none.
  Tunings tunings(Target::Kind kind);

  KernelStore* store() const { return store_.get(); }
  std::vector<const KernelStore*> read_tiers() const;
  void add_to(JitStats& stats) const;

 private:
  struct Candidate {
    CompileRequest request;
    Digest key;
  };

  void open_tiers();
  // Of the compilers whose code for targets of that kind build() takes, the best first.
  Result<std::vector<std::string>> fingerprints(Target::Kind kind);
  Result<std::vector<Candidate>> candidates(const Specialization& specialization,
                                            const Target& target);
  std::optional<Result<Built>> look_up(const std::vector<Candidate>& candidates);
  std::optional<Result<Built>> look_up(const Candidate& candidate);
  Result<Built> compile_once(const Specialization& specialization, const Candidate& candidate,
                             bool believe_store, const CancelToken& cancel);
  Result<Built> compile(const Specialization& specialization, const Candidate& candidate,
                        const CancelToken& cancel);
  void dump(const Specialization& specialization, const Candidate& candidate,
            const Result<ObjectCode>& object) const;

  const JitOptions options_;
  std::unique_ptr<KernelStore> store_;               // null: none can be written
  std::vector<std::unique_ptr<KernelStore>> tiers_;  // read-only
  std::unique_ptr<BuildLocks> locks_;
  std::unique_ptr<Compilers> compilers_;
  SingleFlight<Digest, Built> flights_;

  std::atomic<std::int64_t> store_hits_{0}, compiles_{0}, failures_{0}, waits_{0};
  std::atomic<double> compile_ms_{0}, wait_ms_{0};
};

}  // namespace fms

#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cache/kernel_store.h"
#include "compiler/compiler.h"
#include "compiler/specialization.h"
#include "runtime/kernel.h"
#include "runtime/launch.h"
#include "runtime/log.h"
#include "runtime/manifest.h"
#include "runtime/toolkit.h"
#include "runtime/tunings.h"

namespace fms {

// What happens when a size is new (design.md, Exact or dynamic).
enum class Policy {
  kAuto,     // run the dynamic variant now; when the size comes back, compile the exact one behind
  kExact,    // compile the exact variant now
  kDynamic,  // always the dynamic variant
};

Result<Policy> parse_policy(std::string_view text);  // "auto", "exact", "dynamic"
std::string_view to_string(Policy policy);

struct JitOptions {
  std::vector<std::filesystem::path>
      cache_dirs;  // the first writable one is written, the others read
  std::int64_t cache_max_bytes = std::int64_t{2} << 30;
  bool offline = false;            // a miss is an error, never a compile (law 8)
  std::filesystem::path record;    // manifest to append to; empty: none
  std::filesystem::path dump_dir;  // sources, cubins and logs of what is compiled go here
  bool lineinfo = false;
  std::vector<Sanitizer> sanitize;  // of kernels for a CPU; with a CUDA target building fails
  bool precompile_headers =
      false;                     // see NvrtcOptions: pays in a process that compiles many kernels
  int max_jobs = 0;              // worker processes of `fms warm`; 0: one for each core
  std::optional<Target> target;  // instead of the own one of a device of this kind
  std::optional<LogLevel> log_level;
  Policy policy = Policy::kAuto;
  ToolkitSearch toolkit;
  std::string llvm;  // the LLVM library; empty: beside the program, in ../lib, by the loader
  std::filesystem::path lock_dir;  // empty: node-local, chosen
  std::chrono::milliseconds lock_patience{
      120'000};  // a waiter that waited this long compiles itself
  // For targets of every kind instead of NVRTC and LLVM: for tests and other compilers.
  std::shared_ptr<const Compiler> compiler;

  // FMS_CACHE_DIR, FMS_CACHE_MAX_BYTES, FMS_OFFLINE, FMS_RECORD, FMS_NVRTC, FMS_LLVM, FMS_LOG,
  // FMS_DUMP_DIR, FMS_LINEINFO, FMS_SANITIZE, FMS_MAX_JOBS, FMS_TARGET; the only place that reads
  // them. The error names the variable.
  static Result<JitOptions> from_environment();
};

// "/a:/b" as folders. Relative ones are refused: they would be others in every working directory.
Result<std::vector<std::filesystem::path>> parse_cache_dirs(std::string_view text);

// "2G", "500M", "4096": bytes.
Result<std::int64_t> parse_bytes(std::string_view text);

// One FMS_ variable: what `fms doctor` prints.
struct EnvironmentVariable {
  std::string name, meaning, value;  // value: empty if not set
};
std::vector<EnvironmentVariable> environment_variables();

// Where object code came from.
enum class Origin { kLoaded, kStore, kCompiled };
std::string_view to_string(Origin origin);  // "loaded", "store", "compiled"

// Object code on its way to a device, and what it took.
struct Built {
  ObjectCode object;
  Digest key;
  Origin origin = Origin::kStore;
  double wait_ms = 0;  // for another process that was compiling it
};

// Counts of this Jit, since it was made.
struct JitStats {
  std::int64_t loaded_hits = 0, store_hits = 0, compiles = 0, failures = 0, waits = 0;
  std::int64_t background_compiles = 0, dynamic_served = 0;
  double compile_ms = 0, wait_ms = 0, load_us = 0;
};

// How far get() goes for a kernel that isn't loaded.
enum class Effort {
  kLoaded,   // kNotFound at once: nothing is looked up, compiled or waited for
  kStored,   // as far as the store has it, which takes milliseconds; else kNotFound. What the
             // driver refuses of that is compiled again
  kCompiled  // until it is there
};

struct GetOptions {
  std::optional<Policy> policy;  // instead of the Jit's own
  StreamView stream{};  // where it will be launched: a capture there forbids building (law 9)
  bool record = true;   // false: a front door has recorded the call in its own words
  Effort effort = Effort::kCompiled;
  const CancelToken* cancel = nullptr;  // ends a build; null: none does. Outlives the call
};

// The front door: from a specialisation to a kernel that can be launched, through memory, store and
// compiler.
//
// Thread-safe: any number of threads may ask for any kernels. Of those that ask for the same new
// kernel, in this process or others that share the store, one compiles and the rest wait for it
// (law 4). A cheap copy of a shared thing.
class Jit {
 public:
  // Fails on bad options only: with no usable disk it works in memory, with no compiler it serves
  // what the store has.
  static Result<Jit> create(JitOptions options);
  static Result<Jit> create();  // from the environment

  // The kernel, loaded on `device`. Exact sizes are served by the policy: under kAuto this may be
  // the dynamic variant, which takes the same arguments.
  Result<Kernel> get(const Specialization& specialization, const std::shared_ptr<Device>& device,
                     const GetOptions& options = {});

  // Has both variants built and loaded, so that get() under any policy never compiles: for before a
  // graph capture or a service's start.
  Result<void> prepare(const Specialization& specialization, const std::shared_ptr<Device>& device,
                       const CancelToken& cancel = {});

  // Object code for a target, from the store or the compiler; no device needed.
  Result<Built> build(const Specialization& specialization, const Target& target,
                      const CancelToken& cancel = {});

  // True if build() wouldn't compile. Neither compiles nor counts as a use.
  Result<bool> has(const Specialization& specialization, const Target& target);

  // The request that build() would look up. kUnavailable if no compiler for the target is found and
  // the store knows none.
  Result<CompileRequest> request(const Specialization& specialization, const Target& target);

  // Appends to the manifest that options.record names, each entry once; nothing if it names none.
  void record(const ManifestEntry& entry);
  bool recording() const;

  // What get() compiles for on that device: its own target, or the one that the options name.
  Target target_of(const Device& device) const;

  // What was measured on targets of that kind, read from the tiers when it is first asked for.
  const Tunings& tunings(Target::Kind kind) const;

  void wait_for_background();  // until no compile is queued or running
  JitStats stats() const;
  const JitOptions& options() const;
  KernelStore* store() const;                          // the writable tier; null: none
  std::vector<const KernelStore*> read_tiers() const;  // the read-only ones
  // The compiler for targets of that kind; opens it.
  Result<std::shared_ptr<const Compiler>> compiler(Target::Kind kind = Target::Kind::kCuda);

 private:
  struct State;
  explicit Jit(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace fms

#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/result.h"
#include "runtime/jit.h"
#include "tools/fms/command.h"
#include "tools/fms/manifest_plan.h"

namespace fms::program {

struct WarmFailure {
  std::string specialization, target;
  ErrorCode code = ErrorCode::kInternal;
  std::string message, detail;
};

struct WarmReport {
  std::int64_t kernels = 0, compiled = 0, already_there = 0;
  std::vector<WarmFailure> failures;
  double seconds = 0;
};

// Compiles, in `jobs` worker processes of this program, all kernels that aren't in the store yet.
// Processes, because NVRTC compiles one program at a time in each. Fails as a whole only if workers
// can't be started, or with kCancelled by Ctrl-C: what was compiled by then is kept.
// REQUIRES: `jit` has a store that may be written.
Result<WarmReport> warm(Jit& jit, const CommonOptions& common,
                        const std::vector<PlannedKernel>& kernels, int jobs);

// What starts a worker that compiles into the same stores as a Jit with these options.
std::vector<std::string> warm_worker_command(const JitOptions& options,
                                             const CommonOptions& common);

// --jobs, or FMS_MAX_JOBS, or the number of cores.
int choose_jobs(int asked, const JitOptions& options);

}  // namespace fms::program

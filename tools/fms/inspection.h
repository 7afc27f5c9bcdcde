#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "compiler/kernel_profile.h"
#include "runtime/jit.h"
#include "tools/fms/cpu_code.h"
#include "tools/fms/occupancy.h"
#include "tools/fms/roofline.h"
#include "tools/fms/sass_mix.h"

namespace fms::program {

// The launch that is asked about, as far as it is given.
struct InspectedLaunch {
  std::optional<Dim3> grid, block;
  std::uint32_t dynamic_smem_bytes = 0;
  double assumed_trips = 1;
};

// What the object code for one target says.
struct InspectedTarget {
  Target target;
  Result<Built> built = fail(ErrorCode::kInternal, "not built");

  // Of a GPU:
  int constant_bytes = 0;  // parameters, and what else the kernel has in constant memory
  Result<Occupancy> occupancy = fail(ErrorCode::kInternal, "not computed");
  Result<SassMix> sass = fail(ErrorCode::kInternal, "not disassembled");

  // Of a CPU:
  Result<CpuCode> cpu_code = fail(ErrorCode::kInternal, "not read");

  bool is_cpu() const { return target.kind == Target::Kind::kCpu; }
};

// All that `fms inspect` finds. A part that can't be had is the error that says why.
struct Inspection {
  std::string specialization;
  InspectedLaunch launch;
  Result<KernelProfile> profile = fail(ErrorCode::kInternal, "not counted");
  std::vector<InspectedTarget> targets;
  std::vector<Result<Roof>> roofs;

  // Of a block: as given, or as many as the kernel's launch bounds allow. Nothing: neither is
  // known.
  std::optional<std::int64_t> threads() const;
  // Of a launch; nothing without a grid.
  std::optional<std::int64_t> blocks() const;
  // Of a launch, or nothing.
  std::optional<Work> work() const;
  // REQUIRES: profile. Nothing if threads(), or blocks(), isn't known.
  std::optional<OperationCounts> block_counts() const;
  std::optional<OperationCounts> launch_counts() const;

  // The first part that was asked for and can't be had; null: there is none. A missing disassembler
  // isn't counted.
  const Error* first_error() const;
  bool is_empty() const;  // no part could be had
};

// What `threads` do together if one does `thread`: barriers count once for a block, and operations
// of a warp once for it.
OperationCounts of_block(const OperationCounts& thread, std::int64_t threads);
OperationCounts times(const OperationCounts& counts, double factor);

// Fails only where what is asked for makes no sense: a block that the kernel doesn't allow.
Result<Inspection> inspect(Jit& jit, const Specialization& specialization,
                           const std::vector<Target>& targets, const InspectedLaunch& launch);

}  // namespace fms::program

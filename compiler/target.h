#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "compiler/result.h"

namespace fms {

// What code is compiled for: "cuda:sm_90a", "cpu:x86-64-v3". The suffix counts: sm_90 is not
// sm_90a.
struct Target {
  enum class Kind { kCuda, kCpu };

  Kind kind = Kind::kCuda;
  std::string arch;  // "sm_90a", "x86-64-v3"

  // Accepts "cuda:sm_90a" and, for CUDA, "sm_90a" alone. Refuses architectures below sm_75 and
  // above sm_121, the ones this project supports. "cpu" and "cpu:native" are host_target(); of
  // other processors' names it is the compiler that knows which there are.
  static Result<Target> parse(std::string_view text);

  std::string to_string() const;

  // 90 for sm_90 and sm_90a. REQUIRES: kind == kCuda.
  int compute_capability() const;

  // True if object code for this target runs on a device of the given compute capability (90, ...):
  // the same major number and no greater minor one; for a suffix 'a', just the same; for 'f', the
  // same family (same major, no greater minor).
  bool runs_on(int compute_capability) const;

  auto operator<=>(const Target&) const = default;
};

}  // namespace fms

#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "compiler/result.h"
#include "runtime/jit.h"

namespace fms::program {

// How far a kernel's result is from the same computed in double precision on the CPU.
struct DemoCheck {
  double max_error = 0;
  double worst = 0;  // of |error| / bound; at most 1 for a correct kernel
};

// One kernel that the demo builds, launches on random inputs and checks.
struct DemoKernel {
  std::string what;  // "saxpy, 1048579 elements"
  Specialization specialization;
  // Has the kernel compute, and checks all of its result.
  std::function<Result<DemoCheck>(Jit& jit, const Kernel& kernel)> run;
};

// The examples and attention, for this target.
Result<std::vector<DemoKernel>> demo_kernels(const Target& target);

}  // namespace fms::program

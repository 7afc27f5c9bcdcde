#pragma once

#include <memory>

#include "compiler/dtype.h"
#include "runtime/jit.h"
#include "tools/fms/roofline.h"

namespace fms::program {

// The most that kernels of ours reach on a device: multiply-adds in registers, and a copy of memory
// that no cache holds, each the fastest of several. Takes a second or two, and 512 MiB.
//
// REQUIRES: type is kFloat32 or kFloat64.
Result<Roof> measure_roof(Jit& jit, const std::shared_ptr<Device>& device, DType type);

}  // namespace fms::program

#pragma once

#include <cstdint>

#include "compiler/llvm/thread_function.h"

namespace fms::cpu {

// Makes of each cut point a function of type cpu::Region that runs a row of threads to their next
// one, writes the table fms_kernel_ENTRY, and removes the function that was cut. Returns the bytes
// of a warp's frame.
std::uint64_t build_regions(const CutFunction& cut, const KernelFacts& facts);

}  // namespace fms::cpu

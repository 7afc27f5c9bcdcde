#pragma once

// Internal. Not installed.

#include <span>

#include "compiler/llvm_library.h"

namespace fms::cpu {

// What the code of kernels may call of the runtime.
std::span<const CpuSymbol> symbols();

// Writes out what kernels have printed. They print to stdout.
void flush_printed();

}  // namespace fms::cpu

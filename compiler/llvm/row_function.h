#pragma once

#include "compiler/llvm/thread_function.h"

namespace fms::cpu {

// The function of type cpu::Region that runs `thread` for a row of threads: groups of 16 as
// vectors, what is left one by one.
llvm::Function* build_row_function(const RegionSource& source, const ThreadFunction& thread,
                                   unsigned number);

}  // namespace fms::cpu

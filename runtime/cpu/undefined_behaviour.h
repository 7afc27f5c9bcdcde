#pragma once

// Internal. Not installed.

#include <span>

#include "compiler/llvm_library.h"

namespace fms::cpu {

// What code that checks itself for undefined behaviour calls where a check has failed: the
// functions __ubsan_handle_NAME and __ubsan_handle_NAME_abort that clang 19 knows. Each ends the
// block with a message, as a failed assertion does.
std::span<const CpuSymbol> undefined_behaviour_symbols();

}  // namespace fms::cpu

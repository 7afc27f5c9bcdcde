#pragma once

// Internal. Not installed.

#include <cstdint>
#include <string>

#include "compiler/cpu_abi.h"

namespace fms::cpu {

// Of what a kernel failed.
struct Failure {
  enum class Kind { kNone, kAssert, kFault, kOutOfMemory };

  Kind kind = Kind::kNone;
  std::string message;  // "block (1,0,0), thread (5,0,0): assertion `i < n` failed at a.cu:12"
};

// "(5,0,0)"
std::string to_text(const std::uint32_t (&index)[3]);

// The index of the thread that has the linear one `thread`.
std::string thread_text(const Block& block, std::uint32_t thread);

// Runs body(argument), which may run code of a kernel for `block`. True if it came back by itself;
// false if it was left by leave(), which has ended its function calls without destroying anything
// in them.
bool run_guarded(const Block& block, Failure& failure, void (*body)(void*), void* argument);

// What leave() needs, of the innermost run_guarded() of the calling thread.
struct Guarded {
  const Block* block = nullptr;
  Failure* failure = nullptr;  // to be filled in before leave()
};
// Ends the process if there is none: only kernels may ask.
Guarded guarded();
[[noreturn]] void leave();

}  // namespace fms::cpu

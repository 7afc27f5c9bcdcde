#include "runtime/cpu/failure.h"

#include <fmt/format.h>

#include <csetjmp>
#include <cstdlib>

namespace fms::cpu {
namespace {

struct Guard {
  jmp_buf back;
  Guarded guarded;
  Guard* outer = nullptr;
};

thread_local Guard* innermost = nullptr;

}  // namespace

std::string to_text(const std::uint32_t (&index)[3]) {
  return fmt::format("({},{},{})", index[0], index[1], index[2]);
}

std::string thread_text(const Block& block, std::uint32_t thread) {
  const std::uint32_t rows = thread / block.block_dim[0];
  return to_text(
      {thread % block.block_dim[0], rows % block.block_dim[1], rows / block.block_dim[1]});
}

// Code of kernels knows no exceptions, and has no tables for them to unwind by. _setjmp and not
// setjmp: that may save the signal mask, which takes a system call.
bool run_guarded(const Block& block, Failure& failure, void (*body)(void*), void* argument) {
  Guard guard;
  guard.guarded = {&block, &failure};
  guard.outer = innermost;
  innermost = &guard;
  if (_setjmp(guard.back) == 0) {  // NOLINT(cert-err52-cpp)
    body(argument);
    innermost = guard.outer;
    return true;
  }
  innermost = innermost->outer;
  return false;
}

Guarded guarded() {
  if (!innermost) std::abort();
  return innermost->guarded;
}

void leave() { std::longjmp(innermost->back, 1); }  // NOLINT(cert-err52-cpp)

}  // namespace fms::cpu

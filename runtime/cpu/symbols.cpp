#include "runtime/cpu/symbols.h"

#include <fmt/format.h>
#include <sched.h>
#include <time.h>
#include <x86intrin.h>

#include <algorithm>
#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <vector>

#include "runtime/cpu/failure.h"
#include "runtime/cpu/sanitizer.h"
#include "runtime/cpu/undefined_behaviour.h"

namespace fms::cpu {
namespace {

std::atomic<bool> has_printed{false};

std::string place(const std::uint32_t (&block)[3], const std::uint32_t (&thread)[3]) {
  return fmt::format("block {}, thread {}", to_text(block), to_text(thread));
}

// An assertion's file is its whole name; of a header in memory that is a short one.
extern "C" [[noreturn]] void fms_cpu_assert_fail(const char* expression, const char* file,
                                                 unsigned line, const char* function,
                                                 unsigned thread_x, unsigned thread_y,
                                                 unsigned thread_z, unsigned block_x,
                                                 unsigned block_y, unsigned block_z) {
  *guarded().failure = {
      Failure::Kind::kAssert,
      fmt::format("{}: assertion `{}` failed at {}:{} in {}",
                  place({block_x, block_y, block_z}, {thread_x, thread_y, thread_z}), expression,
                  file, line, function)};
  leave();
}

extern "C" [[noreturn]] void fms_cpu_trap(unsigned thread_x, unsigned thread_y, unsigned thread_z,
                                          unsigned block_x, unsigned block_y, unsigned block_z) {
  *guarded().failure = {Failure::Kind::kFault, fmt::format("{}: __trap() was called",
                                                           place({block_x, block_y, block_z},
                                                                 {thread_x, thread_y, thread_z}))};
  leave();
}

// For checked code, which keeps Block::thread.
extern "C" [[noreturn]] void fms_cpu_report(const char* message) {
  const Guarded run = guarded();
  *run.failure = {Failure::Kind::kFault,
                  fmt::format("block {}, thread {}: {}", to_text(run.block->block_index),
                              thread_text(*run.block, run.block->thread), message)};
  leave();
}

extern "C" std::int64_t fms_cpu_clock() { return static_cast<std::int64_t>(__rdtsc()); }

extern "C" std::int64_t fms_cpu_nanoseconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// A sleep takes 50 us at least, which is the kernel's timer slack; up to there, giving way does.
extern "C" void fms_cpu_nanosleep(unsigned nanoseconds) {
  if (nanoseconds < 50'000) {
    sched_yield();
    return;
  }
  const timespec duration{0, std::min(nanoseconds, 1'000'000u)};
  nanosleep(&duration, nullptr);
}

// NOLINTNEXTLINE(cert-dcl50-cpp): it is what kernels call as printf
extern "C" int fms_cpu_printf(const char* format, ...) {
  has_printed.store(true, std::memory_order_relaxed);
  va_list arguments;
  va_start(arguments, format);
  const int count = std::vprintf(format, arguments);
  va_end(arguments);
  return count;
}

template <typename Function>
CpuSymbol symbol(std::string_view name, Function* function) {
  return {name, reinterpret_cast<void*>(function)};
}

}  // namespace

std::span<const CpuSymbol> symbols() {
  static const std::vector<CpuSymbol> table = [] {
    std::vector<CpuSymbol> all{
        symbol("fms_cpu_assert_fail", fms_cpu_assert_fail),
        symbol("fms_cpu_trap", fms_cpu_trap),
        symbol("fms_cpu_report", fms_cpu_report),
        symbol("fms_cpu_clock", fms_cpu_clock),
        symbol("fms_cpu_nanoseconds", fms_cpu_nanoseconds),
        symbol("fms_cpu_nanosleep", fms_cpu_nanosleep),
        symbol("printf", fms_cpu_printf),
    };
    for (const auto more : {sanitizer_symbols(), undefined_behaviour_symbols()}) {
      all.insert(all.end(), more.begin(), more.end());
    }
    return all;
  }();
  return table;
}

void flush_printed() {
  if (has_printed.exchange(false, std::memory_order_relaxed)) std::fflush(stdout);
}

}  // namespace fms::cpu

#pragma once

// Internal. Not installed.

#include <cstdint>
#include <span>
#include <string>

#include "compiler/cpu_abi.h"
#include "compiler/llvm_library.h"
#include "runtime/cpu/address_check.h"
#include "runtime/cpu/race_detector.h"

namespace fms::cpu {

// Looks at what checked code says it does to memory (JitOptions::sanitize), for the blocks that one
// thread runs one after the other. The first fault ends the block, as a failed assertion does.
//
// Not thread-safe.
class Sanitizer {
 public:
  // Gets ready for blocks of a kernel. `block` stays where it is, and is up to date whenever code
  // of the kernel runs.
  void prepare(const Kernel& kernel, const Block& block, MemoryRange arguments, MemoryRange frames);

  // As the block does them. `lanes` of the warp that begins with that thread.
  void begin_block() { races_.begin_block(); }
  void barrier() { races_.barrier(); }
  void warp_operation(std::uint32_t first_thread, std::uint32_t lanes) {
    races_.warp_operation(first_thread, lanes);
  }

  // True if all is well; else what to say of it is in `fault`.
  bool check(const MemoryAccess& access, std::string& fault);

 private:
  friend class SanitizerScope;

  std::string describe(const MemoryAccess& access) const;
  std::string describe(const MemoryAccess& access, const Race& race) const;

  const Block* block_ = nullptr;
  BlockMemory memory_;
  AddressCheck addresses_;
  RaceDetector races_;
};

// As long as it lives, `sanitizer` is asked about what the calling thread's code does to memory;
// nobody if it is null. The stack below it belongs to that code.
class SanitizerScope {
 public:
  explicit SanitizerScope(Sanitizer* sanitizer);
  ~SanitizerScope();
  SanitizerScope(const SanitizerScope&) = delete;
  SanitizerScope& operator=(const SanitizerScope&) = delete;

 private:
  Sanitizer* outer_;
};

// "thread (33,0,0) of block (2,0,0)": the one that runs in the block.
std::string running_thread_text(const Block& block);

// "k.cu:12", "an unknown line"
std::string source_text(const char* file, std::uint32_t line);

// What checked code calls beside what all code may call.
std::span<const CpuSymbol> sanitizer_symbols();

}  // namespace fms::cpu

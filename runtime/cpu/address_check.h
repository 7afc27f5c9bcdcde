#pragma once

// Internal. Not installed.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "compiler/cpu_abi.h"
#include "runtime/cpu/memory.h"

namespace fms::cpu {

struct MemoryRange {
  std::uintptr_t start = 0;
  std::size_t bytes = 0;

  std::uintptr_t end() const { return start + bytes; }
  bool holds(std::uintptr_t address, std::size_t count) const {
    return address >= start && address - start <= bytes && count <= bytes - (address - start);
  }
};

// What the threads of a block may access beside device memory.
struct BlockMemory {
  MemoryRange shared;            // static, then dynamic
  MemoryRange arguments;         // the parameter block
  MemoryRange frames;            // of the warps
  std::uintptr_t stack_end = 0;  // of the thread that runs the block, where the runtime's begins
  std::span<const ImageVariable> variables;
};

// What checked code says before it accesses memory.
struct MemoryAccess {
  std::uintptr_t address = 0;
  std::size_t bytes = 0;
  const AccessSite* site = nullptr;
  std::uintptr_t object = 0;  // where the variable lies that is accessed; 0: not known
};

// Says if memory may be accessed: within the variable if that is known, else within anything that
// the block may access. That another variable or allocation lies where the access goes is only
// noticed in the former case; no allocation of the device begins right where another one ends.
//
// Not thread-safe, but memory of the device may come and go meanwhile.
class AddressCheck {
 public:
  void prepare(const BlockMemory& memory) { memory_ = memory; }

  bool allows(const MemoryAccess& access);

  // REQUIRES: !allows(access). "out-of-bounds" or "invalid", and why: "4 bytes past the end of
  // shared variable tile, which has 128 bytes".
  struct Fault {
    const char* kind = "";
    std::string reason;
  };
  Fault fault_of(const MemoryAccess& access) const;

  // True for memory that each thread has of its own, and for the parameter block.
  bool is_private(std::uintptr_t address) const;

  // "shared variable tile at byte 4", "byte 16 of a device allocation of 4096 bytes"
  std::string place_of(const MemoryAccess& access, std::uintptr_t address) const;

 private:
  MemoryRange variable_of(const MemoryAccess& access) const;
  const ImageVariable* image_variable_near(std::uintptr_t address, std::size_t distance) const;
  bool is_in_allocation(const MemoryAccess& access);

  BlockMemory memory_;
  // Allocations that were accessed last, as of that count of freed ones.
  std::array<Allocation, 4> recent_;
  std::size_t next_recent_ = 0;
  std::uint64_t freed_count_ = 0;
};

}  // namespace fms::cpu

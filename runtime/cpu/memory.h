#pragma once

// Internal. Not installed.

#include <cstddef>
#include <cstdint>
#include <optional>

#include "runtime/driver.h"

namespace fms::cpu {

struct Allocation {
  std::uintptr_t address = 0;
  std::size_t size = 0;
  bool is_lent = false;  // LentMemory
};

// The memory of the CPU device, or lent to it, that holds `address`, if several do the one that
// goes on for longest; nothing if it is other memory of the process. Thread-safe.
std::optional<Allocation> find_allocation(std::uintptr_t address);

// The nearest of such memory that ends or begins up to that many bytes from `address`; and what
// held `address` until it was freed, if that isn't too long ago. Thread-safe.
std::optional<Allocation> find_near_allocation(std::uintptr_t address, std::size_t distance);
std::optional<Allocation> find_freed(std::uintptr_t address);

// How many allocations have been freed, and lent ones taken back. Thread-safe.
std::uint64_t count_freed();

// Fills in the functions of memory. It is the process's: a kernel may be given any address, and
// what has been allocated here is remembered to say what one belongs to.
void set_memory_functions(DriverFunctions& call);

}  // namespace fms::cpu

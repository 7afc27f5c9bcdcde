#include "runtime/cpu/address_check.h"

#include <fmt/format.h>

#include <algorithm>

namespace fms::cpu {
namespace {

// What lies further away has nothing to do with the access.
constexpr std::size_t kNear = std::size_t{1} << 16;

constexpr std::uintptr_t kNullBytes = 4096;  // that no process has

const char* bytes_word(std::size_t count) { return count == 1 ? "byte" : "bytes"; }

// "shared variable tile, which has 128 bytes"
std::string variable_text(const MemoryAccess& access, std::size_t bytes) {
  const std::uint32_t flags = access.site->flags;
  const char* const kind = (flags & kAccessShared) != 0    ? "shared variable"
                           : (flags & kAccessPrivate) != 0 ? "local variable"
                                                           : "variable";
  const char* const name = access.site->object;
  return fmt::format("{}{}{}, which has {} {}", name == nullptr ? "a " : "", kind,
                     name == nullptr ? "" : fmt::format(" {}", name), bytes, bytes_word(bytes));
}

std::string allocation_text(const Allocation& allocation) {
  return fmt::format("{} of {} {} (0x{:x})",
                     allocation.is_lent ? "an array" : "a device allocation", allocation.size,
                     bytes_word(allocation.size), allocation.address);
}

// "4 bytes past the end of ", where the access doesn't lie whole in the range.
std::string relation_text(const MemoryAccess& access, const MemoryRange& range) {
  if (access.address < range.start) {
    const std::size_t before = range.start - access.address;
    return fmt::format("{} {} before the start of ", before, bytes_word(before));
  }
  if (access.address == range.end()) return "just past the end of ";
  if (access.address > range.end()) {
    const std::size_t past = access.address - range.end();
    return fmt::format("{} {} past the end of ", past, bytes_word(past));
  }
  const std::size_t over = access.address + access.bytes - range.end();
  return fmt::format("its last {} {} past the end of ", over,
                     over == 1 ? "byte lies" : "bytes lie");
}

bool is_near(std::uintptr_t address, const MemoryRange& range) {
  return address + kNear >= range.start && address < range.end() + kNear;
}

}  // namespace

MemoryRange AddressCheck::variable_of(const MemoryAccess& access) const {
  if (access.object == 0) return {};
  if (access.site->object_bytes != 0) return {access.object, access.site->object_bytes};
  // Dynamic shared memory is all that lies behind its start.
  if ((access.site->flags & kAccessShared) == 0) return {};
  return {access.object, memory_.shared.end() - access.object};
}

bool AddressCheck::is_private(std::uintptr_t address) const {
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  return memory_.frames.holds(address, 1) || memory_.arguments.holds(address, 1) ||
         (address >= here && address < memory_.stack_end);
}

bool AddressCheck::allows(const MemoryAccess& access) {
  if (access.bytes == 0) return true;
  const MemoryRange variable = variable_of(access);
  if (variable.start != 0) return variable.holds(access.address, access.bytes);
  return memory_.shared.holds(access.address, access.bytes) || is_in_allocation(access) ||
         is_private(access.address) ||
         std::ranges::any_of(memory_.variables, [&](const ImageVariable& each) {
           const auto start = reinterpret_cast<std::uintptr_t>(each.address);
           return MemoryRange{start, each.bytes}.holds(access.address, access.bytes);
         });
}

// Looking an allocation up takes a lock that all threads of the process share.
bool AddressCheck::is_in_allocation(const MemoryAccess& access) {
  if (const std::uint64_t count = count_freed(); count != freed_count_) {
    recent_ = {};
    freed_count_ = count;
  }
  for (const Allocation& each : recent_) {
    if (MemoryRange{each.address, each.size}.holds(access.address, access.bytes)) return true;
  }
  const auto found = find_allocation(access.address);
  if (!found || !MemoryRange{found->address, found->size}.holds(access.address, access.bytes)) {
    return false;
  }
  recent_[next_recent_++ % recent_.size()] = *found;
  return true;
}

const ImageVariable* AddressCheck::image_variable_near(std::uintptr_t address,
                                                       std::size_t distance) const {
  const auto found = std::ranges::find_if(memory_.variables, [&](const ImageVariable& each) {
    const auto start = reinterpret_cast<std::uintptr_t>(each.address);
    return address + distance >= start && address < start + each.bytes + distance;
  });
  return found == memory_.variables.end() ? nullptr : &*found;
}

AddressCheck::Fault AddressCheck::fault_of(const MemoryAccess& access) const {
  constexpr const char* kOutOfBounds = "out-of-bounds";
  constexpr const char* kInvalid = "invalid";
  if (const MemoryRange variable = variable_of(access); variable.start != 0) {
    return {kOutOfBounds, relation_text(access, variable) + variable_text(access, variable.bytes)};
  }
  if (access.address < kNullBytes) return {kInvalid, "it goes through a null pointer"};
  if (const auto freed = find_freed(access.address)) {
    return {kInvalid, fmt::format("inside {} that was freed", allocation_text(*freed))};
  }
  if (is_near(access.address, memory_.shared) && memory_.shared.bytes != 0) {
    return {kOutOfBounds, fmt::format("{}the block's shared memory, which has {} bytes",
                                      relation_text(access, memory_.shared), memory_.shared.bytes)};
  }
  if (const auto near = find_near_allocation(access.address, kNear)) {
    return {kOutOfBounds,
            relation_text(access, {near->address, near->size}) + allocation_text(*near)};
  }
  if (const ImageVariable* near = image_variable_near(access.address, kNear)) {
    const MemoryRange range{reinterpret_cast<std::uintptr_t>(near->address), near->bytes};
    return {kOutOfBounds, fmt::format("{}variable {}, which has {} bytes",
                                      relation_text(access, range), near->name, near->bytes)};
  }
  return {kInvalid, fmt::format("near no allocation that is alive (0x{:x})", access.address)};
}

std::string AddressCheck::place_of(const MemoryAccess& access, std::uintptr_t address) const {
  if (access.object != 0 && access.site->object != nullptr) {
    return fmt::format("{}variable {} at byte {}",
                       (access.site->flags & kAccessShared) != 0 ? "shared " : "",
                       access.site->object, address - access.object);
  }
  if (memory_.shared.holds(address, 1)) {
    return fmt::format("byte {} of shared memory", address - memory_.shared.start);
  }
  if (const auto found = find_allocation(address)) {
    return fmt::format("byte {} of {}", address - found->address, allocation_text(*found));
  }
  if (const ImageVariable* variable = image_variable_near(address, 0)) {
    return fmt::format("variable {} at byte {}", variable->name,
                       address - reinterpret_cast<std::uintptr_t>(variable->address));
  }
  return fmt::format("memory at 0x{:x}", address);
}

}  // namespace fms::cpu

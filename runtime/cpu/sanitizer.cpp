#include "runtime/cpu/sanitizer.h"

#include <fmt/format.h>

#include <string_view>
#include <utility>

#include "runtime/cpu/failure.h"

namespace fms::cpu {
namespace {

thread_local Sanitizer* innermost = nullptr;

// "atomic write"
std::string_view verb_of(const AccessSite& site) {
  const bool writes = (site.flags & kAccessWrite) != 0;
  if ((site.flags & kAccessAtomic) != 0) return writes ? "atomic write" : "atomic read";
  if ((site.flags & kAccessVolatile) != 0) return writes ? "volatile write" : "volatile read";
  return writes ? "write" : "read";
}

// "write at sum.cu:9 by thread (1,0,0)"
std::string side_text(const Block& block, const Race::Side& side) {
  return fmt::format("{} at {} by thread {}", verb_of(*side.site),
                     source_text(side.site->file, side.site->line),
                     thread_text(block, side.thread));
}

// Apart from what follows, since leaving destroys nothing.
bool record(const MemoryAccess& access) {
  std::string fault;
  if (innermost == nullptr || innermost->check(access, fault)) return false;
  *guarded().failure = {Failure::Kind::kFault, std::move(fault)};
  return true;
}

extern "C" void fms_cpu_access(const void* address, std::uint64_t bytes, const AccessSite* site,
                               const void* object) {
  const MemoryAccess access{reinterpret_cast<std::uintptr_t>(address), bytes, site,
                            reinterpret_cast<std::uintptr_t>(object)};
  if (record(access)) leave();
}

}  // namespace

std::string running_thread_text(const Block& block) {
  return fmt::format("thread {} of block {}", thread_text(block, block.thread),
                     to_text(block.block_index));
}

std::string source_text(const char* file, std::uint32_t line) {
  return file == nullptr ? "an unknown line" : fmt::format("{}:{}", file, line);
}

SanitizerScope::SanitizerScope(Sanitizer* sanitizer) : outer_(std::exchange(innermost, sanitizer)) {
  if (sanitizer == nullptr) return;
  sanitizer->memory_.stack_end = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  sanitizer->addresses_.prepare(sanitizer->memory_);
}

SanitizerScope::~SanitizerScope() { innermost = outer_; }

void Sanitizer::prepare(const Kernel& kernel, const Block& block, MemoryRange arguments,
                        MemoryRange frames) {
  block_ = &block;
  memory_ = {.shared = {reinterpret_cast<std::uintptr_t>(block.shared),
                        std::size_t{kernel.static_smem_bytes} + block.dynamic_smem_bytes},
             .arguments = arguments,
             .frames = frames,
             .variables = {kernel.variables, kernel.variable_count}};
  addresses_.prepare(memory_);
  races_.prepare(memory_.shared.start, memory_.shared.bytes,
                 block.block_dim[0] * block.block_dim[1] * block.block_dim[2]);
}

bool Sanitizer::check(const MemoryAccess& access, std::string& fault) {
  const std::uint32_t flags = access.site->flags;
  if ((flags & kCheckAddress) != 0 && !addresses_.allows(access)) {
    fault = describe(access);
    return false;
  }
  if ((flags & kCheckRace) == 0 || addresses_.is_private(access.address)) return true;
  const auto race = races_.access(block_->thread, access.address, access.bytes, access.site);
  if (!race) return true;
  fault = describe(access, *race);
  return false;
}

std::string Sanitizer::describe(const MemoryAccess& access) const {
  const AddressCheck::Fault fault = addresses_.fault_of(access);
  return fmt::format("{} {} of {} byte{} at {} by {}: {}", fault.kind, verb_of(*access.site),
                     access.bytes, access.bytes == 1 ? "" : "s",
                     source_text(access.site->file, access.site->line),
                     running_thread_text(*block_), fault.reason);
}

std::string Sanitizer::describe(const MemoryAccess& access, const Race& race) const {
  return fmt::format("data race in block {} on {}: {}, {}, with no barrier between them",
                     to_text(block_->block_index), addresses_.place_of(access, race.address),
                     side_text(*block_, race.first), side_text(*block_, race.second));
}

std::span<const CpuSymbol> sanitizer_symbols() {
  static const CpuSymbol table[] = {
      {"fms_cpu_access", reinterpret_cast<void*>(fms_cpu_access)},
  };
  return table;
}

}  // namespace fms::cpu

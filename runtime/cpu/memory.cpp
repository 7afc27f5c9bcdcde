#include "runtime/cpu/memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "runtime/cpu/host.h"
#include "runtime/cpu/process_state.h"
#include "runtime/cpu/streams.h"

namespace fms::cpu {
namespace {

constexpr std::size_t kAlignment = 256;  // as cuMemAlloc's
constexpr std::size_t kFreedToRemember = 256;

CUresult allocate(CUdeviceptr* address, std::size_t bytes) {
  if (bytes == 0) return CUDA_ERROR_INVALID_VALUE;
  // More than there is may be promised and not kept: the process would be killed at using it.
  if (bytes > static_cast<std::size_t>(host_info().memory_bytes)) return CUDA_ERROR_OUT_OF_MEMORY;
  void* const memory =
      std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  if (!memory) return CUDA_ERROR_OUT_OF_MEMORY;
  *address = reinterpret_cast<CUdeviceptr>(memory);
  ProcessState& state = process_state();
  const std::lock_guard lock(state.objects);
  state.allocations.emplace(*address, bytes);
  return CUDA_SUCCESS;
}

CUresult release(CUdeviceptr address) {
  {
    ProcessState& state = process_state();
    const std::lock_guard lock(state.objects);
    const auto found = state.allocations.find(address);
    if (found == state.allocations.end()) return CUDA_ERROR_INVALID_VALUE;
    state.freed.push_front(*found);
    if (state.freed.size() > kFreedToRemember) state.freed.pop_back();
    state.allocations.erase(found);
    state.freed_count.fetch_add(1, std::memory_order_relaxed);
  }
  std::free(reinterpret_cast<void*>(address));
  return CUDA_SUCCESS;
}

CUresult check(CUdeviceptr address, std::size_t bytes, CUstream stream) {
  if (!is_stream(stream)) return CUDA_ERROR_INVALID_HANDLE;
  if (address == 0) return CUDA_ERROR_INVALID_VALUE;
  const auto allocation = find_allocation(address);
  if (allocation && bytes > allocation->address + allocation->size - address) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_SUCCESS;
}

CUresult upload(CUdeviceptr to, const void* from, std::size_t bytes, CUstream stream) {
  if (const CUresult code = check(to, bytes, stream)) return code;
  std::memcpy(reinterpret_cast<void*>(to), from, bytes);
  return CUDA_SUCCESS;
}

CUresult download(void* to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  if (const CUresult code = check(from, bytes, stream)) return code;
  std::memcpy(to, reinterpret_cast<const void*>(from), bytes);
  return CUDA_SUCCESS;
}

CUresult fill(CUdeviceptr to, unsigned char byte, std::size_t bytes, CUstream stream) {
  if (const CUresult code = check(to, bytes, stream)) return code;
  std::memset(reinterpret_cast<void*>(to), byte, bytes);
  return CUDA_SUCCESS;
}

}  // namespace

std::optional<Allocation> find_allocation(std::uintptr_t address) {
  ProcessState& state = process_state();
  const std::lock_guard lock(state.objects);
  const auto after = state.allocations.upper_bound(address);
  if (after != state.allocations.begin()) {
    const auto& [start, size] = *std::prev(after);
    if (address - start < size) return Allocation{start, size};
  }
  std::optional<Allocation> found;
  for (const auto& [start, size] : state.lent) {
    if (address < start || address - start >= size) continue;
    if (!found || start + size > found->address + found->size) found = {start, size, true};
  }
  return found;
}

std::optional<Allocation> find_near_allocation(std::uintptr_t address, std::size_t distance) {
  ProcessState& state = process_state();
  const std::lock_guard lock(state.objects);
  std::optional<Allocation> nearest;
  std::size_t best = distance + 1;
  const auto consider = [&](const Allocation& each) {
    const std::uintptr_t end = each.address + each.size;
    const std::size_t away = address < each.address ? each.address - address
                             : address < end        ? 0
                                                    : address - end;
    if (away < best) nearest = each;
    best = std::min(best, away);
  };
  const auto after = state.allocations.upper_bound(address);
  if (after != state.allocations.begin()) {
    const auto& [start, size] = *std::prev(after);
    consider({start, size});
  }
  if (after != state.allocations.end()) consider({after->first, after->second});
  for (const auto& [start, size] : state.lent) consider({start, size, true});
  return nearest;
}

std::optional<Allocation> find_freed(std::uintptr_t address) {
  ProcessState& state = process_state();
  const std::lock_guard lock(state.objects);
  for (const auto& [start, size] : state.freed) {
    if (address >= start && address - start < size) return Allocation{start, size};
  }
  return std::nullopt;
}

std::uint64_t count_freed() { return process_state().freed_count.load(std::memory_order_relaxed); }

void set_memory_functions(DriverFunctions& call) {
  call.cuMemAlloc = allocate;
  call.cuMemFree = release;
  call.cuMemcpyHtoDAsync = upload;
  call.cuMemcpyDtoHAsync = download;
  call.cuMemsetD8Async = fill;
}

}  // namespace fms::cpu

#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <type_traits>

#include "compiler/result.h"
#include "runtime/kernel.h"
#include "runtime/stream.h"

namespace fms {

struct Dim3 {
  std::uint32_t x = 1, y = 1, z = 1;

  bool operator==(const Dim3&) const = default;
};

struct LaunchConfig {
  Dim3 grid{};     // blocks
  Dim3 block{};    // threads of a block
  Dim3 cluster{};  // blocks of a cluster; 1x1x1: none
  std::uint32_t dynamic_smem_bytes = 0;
  bool cooperative = false;  // all blocks resident at once, so that they may wait for each other
  bool programmatic_launch = false;  // PDL: may start before the kernel in front of it has ended
};

// One kernel argument: where its bytes are and how many.
struct Argument {
  const void* data = nullptr;
  std::uint32_t size = 0;
};

// Starts `kernel` on `stream`, asynchronously. Argument count and sizes, grid, block and shared
// memory are checked against the kernel (kInvalidArgument, before anything starts). A grid with no
// blocks starts nothing and succeeds. On the CPU the kernel has run when this returns; if it failed
// (an assertion, barriers that never meet), the kDriver error says which block, thread and line.
//
// Thread-safe. Works inside a graph capture.
Result<void> launch(StreamView stream, const LaunchConfig& config, const Kernel& kernel,
                    std::span<const Argument> arguments);

// The same with the arguments themselves: pointers (device addresses), numbers, or structs by
// value.
template <typename... Arguments>
Result<void> launch(StreamView stream, const LaunchConfig& config, const Kernel& kernel,
                    const Arguments&... arguments) {
  static_assert((std::is_trivially_copyable_v<Arguments> && ...),
                "a kernel takes its arguments as bytes");
  const std::array<Argument, sizeof...(Arguments)> list{
      Argument{&arguments, static_cast<std::uint32_t>(sizeof(Arguments))}...};
  return launch(stream, config, kernel, std::span<const Argument>(list));
}

}  // namespace fms

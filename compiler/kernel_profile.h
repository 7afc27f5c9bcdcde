#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fms {

// Where a kernel's loads and stores go.
enum class MemorySpace { kGlobal, kShared, kLocal, kArgument };
inline constexpr std::size_t kMemorySpaces = 4;
std::string_view to_string(MemorySpace space);  // "global", "shared", "local", "argument"

// What one thread does, on average over a launch.
struct OperationCounts {
  double flops16 = 0, flops32 = 0, flops64 = 0;  // a multiply-add is two
  double special = 0;                            // square roots, exponentials and other functions
  double integer = 0;
  std::array<double, kMemorySpaces> loaded_bytes{}, stored_bytes{};  // by MemorySpace
  double atomics = 0, barriers = 0, warp_operations = 0, branches = 0;

  double flops() const { return flops16 + flops32 + flops64; }
};

struct LoopProfile {
  std::string file;  // empty: not known
  unsigned line = 0;
  int depth = 1;
  double trips = 1;
  bool known = false;  // false: it depends on arguments, and `trips` is what was assumed
};

// What the launch says that the code doesn't; 0: not given. Without a block, that of a kernel which
// asks for x alone is as large as its launch bounds allow.
struct ProfileOptions {
  std::array<std::uint32_t, 3> grid{}, block{};
  double assumed_trips = 1;  // of loops whose length depends on arguments
};

// Counted in the IR of a specialisation, after simplification: an estimate of what a launch will
// do. What depends on where a thread is, counts as it is for the threads of the launch, as far as
// that is given. Of other conditions one without an else counts as true, so that checks at edges
// cost nothing to the estimate, and of two sides each counts half. Arithmetic of 16-bit types is
// done in fp32, and counted so.
struct KernelProfile {
  OperationCounts thread;
  std::vector<LoopProfile> loops;
  std::uint32_t static_smem_bytes = 0;
  int max_threads = 0;  // by __launch_bounds__; 0: not said

  bool all_known() const {
    for (const LoopProfile& loop : loops) {
      if (!loop.known) return false;
    }
    return true;
  }
};

}  // namespace fms

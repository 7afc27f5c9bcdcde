#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace fms::program {

// What an instruction of a GPU is for.
enum class SassClass {
  kTensor,   // matrix products, and Blackwell's tensor memory
  kFp32Fma,  // counted apart: the most a kernel in fp32 can do
  kFp32,
  kFp64,
  kFp16,     // and bfloat16
  kSpecial,  // MUFU: reciprocals, square roots, exponentials, ...
  kInteger,  // and bits, addresses, integer comparisons
  kConversion,
  kGlobalLoad,  // and generic addresses
  kGlobalStore,
  kSharedLoad,
  kSharedStore,
  kLocalLoad,
  kLocalStore,
  kConstantLoad,
  kAsyncCopy,  // cp.async, bulk copies, TMA, and the waiting for them
  kAtomic,
  kBarrier,  // of blocks, clusters and mbarriers; fences
  kWarp,     // shuffles, votes and the like
  kBranch,   // calls, returns, and where a warp's ways part and meet
  kMove,     // selections, special registers
  kOther,
};
inline constexpr std::size_t kSassClasses = std::size_t(SassClass::kOther) + 1;

std::string_view to_string(SassClass kind);    // stable, for programs: "fp32_fma"
std::string_view description(SassClass kind);  // for people: "fp32 multiply-add"

// Instructions in the code, each once however often it runs; NOPs, which only pad, aren't counted.
struct SassMix {
  std::array<int, kSassClasses> counts{};  // by SassClass

  int of(SassClass kind) const { return counts[std::size_t(kind)]; }
  int total() const;
};

// Counts the instructions of the kernel `entry`, with functions that it calls if they lie in its
// section, in what nvdisasm or cuobjdump print. Those that aren't known are kOther.
SassMix count_sass(std::string_view disassembly, std::string_view entry);

}  // namespace fms::program

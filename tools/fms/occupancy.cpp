#include "tools/fms/occupancy.h"

#include <algorithm>
#include <array>
#include <limits>

namespace fms::program {
namespace {

constexpr int kKiB = 1024;
constexpr int kWarp = 32;
constexpr int kMostThreadsOfBlock = 1024;  // of a block

// The same of all from sm_75 to sm_121.
constexpr int kRegisters = 64 * kKiB;  // of an SM, and the most of a block
constexpr int kRegisterUnit = 256;     // of a warp
constexpr int kMostRegisters = 255;    // of a thread
constexpr int kPartitions = 4;         // of an SM, each with its registers and warps

// The programming guide's table of technical specifications, and what cuda_occupancy.h of CUDA 13
// has of granularity and barriers; OccupancyTest compares with the latter where it is there.
constexpr std::array<SmLimits, 11> kLimits = {{
    {75, 32, 16, 64 * kKiB, 256, 0, 0},
    {80, 64, 32, 164 * kKiB, 128, kKiB, 0},
    {86, 48, 16, 100 * kKiB, 128, kKiB, 0},
    {87, 48, 16, 164 * kKiB, 128, kKiB, 0},
    {89, 48, 24, 100 * kKiB, 128, kKiB, 0},
    {90, 64, 32, 228 * kKiB, 128, kKiB, 64},
    {100, 64, 32, 228 * kKiB, 128, kKiB, 64},
    {103, 64, 32, 228 * kKiB, 128, kKiB, 64},
    {110, 48, 24, 228 * kKiB, 128, kKiB, 24},
    {120, 48, 24, 100 * kKiB, 128, kKiB, 24},
    {121, 48, 24, 100 * kKiB, 128, kKiB, 24},
}};

constexpr int kUnlimited = std::numeric_limits<int>::max();

template <typename Integer>
Integer round_up(Integer value, Integer unit) {
  return (value + unit - 1) / unit * unit;
}

int blocks_by_registers(const BlockUse& use, int warps) {
  if (use.registers > kMostRegisters) return 0;
  const int of_warp = round_up(use.registers * kWarp, kRegisterUnit);
  if (of_warp == 0) return kUnlimited;
  // The hardware checks a launch as if each partition got as many of the block's warps.
  if (of_warp * round_up(warps, kPartitions) > kRegisters) return 0;
  return kRegisters / kPartitions / of_warp * kPartitions / warps;
}

int blocks_by_smem(const SmLimits& limits, const BlockUse& use) {
  const std::int64_t of_block =
      round_up<std::int64_t>(use.smem_bytes + limits.reserved_smem_bytes, limits.smem_unit_bytes);
  if (of_block == 0) return kUnlimited;
  if (of_block > limits.smem_bytes) return 0;
  return static_cast<int>(limits.smem_bytes / of_block);
}

}  // namespace

const SmLimits* sm_limits(int compute_capability) {
  const auto found = std::ranges::find(kLimits, compute_capability, &SmLimits::compute_capability);
  return found != kLimits.end() ? &*found : nullptr;
}

std::string_view to_string(OccupancyLimit limit) {
  switch (limit) {
    case OccupancyLimit::kWarps:
      return "warps";
    case OccupancyLimit::kBlocks:
      return "blocks";
    case OccupancyLimit::kRegisters:
      return "registers";
    case OccupancyLimit::kSharedMemory:
      return "shared memory";
    case OccupancyLimit::kBarriers:
      break;
  }
  return "barriers";
}

Occupancy occupancy(const SmLimits& limits, const BlockUse& use) {
  const int warps = (use.threads + kWarp - 1) / kWarp;
  const std::array<int, 5> blocks = {
      use.threads > kMostThreadsOfBlock ? 0 : limits.warps / warps, limits.blocks,
      blocks_by_registers(use, warps), blocks_by_smem(limits, use),
      use.barriers > 0 && limits.barriers > 0 ? limits.barriers / use.barriers : kUnlimited};
  Occupancy result{.blocks = *std::ranges::min_element(blocks), .max_warps = limits.warps};
  result.warps = result.blocks * warps;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (blocks[i] == result.blocks) result.limited_by.push_back(static_cast<OccupancyLimit>(i));
  }
  return result;
}

}  // namespace fms::program

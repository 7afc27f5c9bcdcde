#include "tools/fms/occupancy.h"

#include <gtest/gtest.h>

#include <vector>

#if __has_include(<cuda_occupancy.h>)
#define FMS_HAS_CALCULATOR 1
#include <cuda_occupancy.h>
#else
#define FMS_HAS_CALCULATOR 0
#endif

namespace fms::program {
namespace {

using Limits = std::vector<OccupancyLimit>;

Occupancy on(int compute_capability, const BlockUse& use) {
  const SmLimits* limits = sm_limits(compute_capability);
  EXPECT_NE(limits, nullptr) << compute_capability;
  return limits != nullptr ? occupancy(*limits, use) : Occupancy{};
}

TEST(OccupancyTest, FewRegistersFillAnSmWithWarps) {
  const Occupancy result = on(90, {.threads = 256, .registers = 32});
  EXPECT_EQ(result.blocks, 8);
  EXPECT_EQ(result.warps, 64);
  EXPECT_EQ(result.share(), 1);
  EXPECT_EQ(result.limited_by, (Limits{OccupancyLimit::kWarps, OccupancyLimit::kRegisters}));
}

TEST(OccupancyTest, RegistersAreGivenInUnitsOfEightAThread) {
  // 33 registers are as many as 40: 1280 a warp, of which a quarter's 16384 hold 12.
  for (const int registers : {33, 40}) {
    const Occupancy result = on(80, {.threads = 256, .registers = registers});
    EXPECT_EQ(result.warps, 48);
    EXPECT_EQ(result.limited_by, Limits{OccupancyLimit::kRegisters});
  }
  EXPECT_EQ(on(80, {.threads = 256, .registers = 41}).warps, 40);
  EXPECT_EQ(on(80, {.threads = 128, .registers = 255}).warps, 8);
}

TEST(OccupancyTest, SmallBlocksRunOutOfBlocks) {
  EXPECT_EQ(on(90, {.threads = 32, .registers = 16}).blocks, 32);
  EXPECT_EQ(on(90, {.threads = 32, .registers = 16}).limited_by, Limits{OccupancyLimit::kBlocks});
  EXPECT_EQ(on(86, {.threads = 32, .registers = 16}).blocks, 16);
  EXPECT_EQ(on(89, {.threads = 32, .registers = 16}).blocks, 24);
  EXPECT_EQ(on(75, {.threads = 32, .registers = 16}).blocks, 16);
}

TEST(OccupancyTest, EachBlockPaysAKibibyteOfSharedMemoryFromAmpereOn) {
  // 228 KiB hold two blocks of 113 KiB and the reserved one, and no more.
  EXPECT_EQ(on(90, {.threads = 128, .registers = 32, .smem_bytes = 113 * 1024}).blocks, 2);
  EXPECT_EQ(on(90, {.threads = 128, .registers = 32, .smem_bytes = 113 * 1024 + 1}).blocks, 1);
  EXPECT_EQ(on(75, {.threads = 128, .registers = 32, .smem_bytes = 32 * 1024}).blocks, 2);
  EXPECT_EQ(on(90, {.threads = 128, .registers = 32, .smem_bytes = 113 * 1024}).limited_by,
            Limits{OccupancyLimit::kSharedMemory});
}

TEST(OccupancyTest, ABlockThatIsTooLargeIsNeverThere) {
  EXPECT_EQ(on(90, {.threads = 1025, .registers = 16}).limited_by, Limits{OccupancyLimit::kWarps});
  EXPECT_EQ(on(90, {.threads = 1025, .registers = 16}).blocks, 0);
  EXPECT_EQ(on(90, {.threads = 1024, .registers = 65}).blocks, 0);
  EXPECT_EQ(on(90, {.threads = 1024, .registers = 64}).blocks, 1);
  EXPECT_EQ(on(90, {.threads = 32, .registers = 16, .smem_bytes = 227 * 1024}).blocks, 1);
  EXPECT_EQ(on(90, {.threads = 32, .registers = 16, .smem_bytes = 227 * 1024 + 1}).blocks, 0);
  EXPECT_EQ(on(86, {.threads = 32, .registers = 16, .smem_bytes = 100 * 1024}).blocks, 0);
  EXPECT_EQ(on(86, {.threads = 32, .registers = 16, .smem_bytes = std::int64_t{1} << 40}).blocks,
            0);
}

TEST(OccupancyTest, NamedBarriersCountFromHopperOn) {
  const BlockUse use{.threads = 64, .registers = 16, .barriers = 4};
  EXPECT_EQ(on(120, use).blocks, 6);
  EXPECT_EQ(on(120, use).limited_by, Limits{OccupancyLimit::kBarriers});
  EXPECT_EQ(on(90, use).blocks, 16);
  EXPECT_EQ(on(89, use).blocks, 24) << "before, the calculator knows no such limit";
}

TEST(OccupancyTest, AnUnknownArchitectureHasNoLimits) {
  EXPECT_EQ(sm_limits(70), nullptr);
  EXPECT_EQ(sm_limits(130), nullptr);
}

#if FMS_HAS_CALCULATOR

// What the table says of an SM, in the words of NVIDIA's calculator.
cudaOccDeviceProp properties_of(const SmLimits& limits) {
  cudaOccDeviceProp properties;
  properties.computeMajor = limits.compute_capability / 10;
  properties.computeMinor = limits.compute_capability % 10;
  properties.maxThreadsPerBlock = 1024;
  properties.maxThreadsPerMultiprocessor = 32 * limits.warps;
  properties.regsPerBlock = properties.regsPerMultiprocessor = 65536;
  properties.warpSize = 32;
  properties.sharedMemPerBlock = 48 * 1024;
  properties.sharedMemPerMultiprocessor = static_cast<std::size_t>(limits.smem_bytes);
  properties.numSms = 1;
  properties.reservedSharedMemPerBlock = static_cast<std::size_t>(limits.reserved_smem_bytes);
  properties.sharedMemPerBlockOptin =
      properties.sharedMemPerMultiprocessor - properties.reservedSharedMemPerBlock;
  return properties;
}

int calculated_blocks(const SmLimits& limits, const BlockUse& use) {
  const cudaOccDeviceProp properties = properties_of(limits);
  cudaOccFuncAttributes attributes;
  attributes.maxThreadsPerBlock = 1024;
  attributes.numRegs = use.registers;
  attributes.sharedSizeBytes = 0;
  attributes.partitionedGCConfig = PARTITIONED_GC_OFF;
  attributes.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
  attributes.maxDynamicSharedSizeBytes = static_cast<std::size_t>(use.smem_bytes);
  attributes.numBlockBarriers = use.barriers;
  const cudaOccDeviceState state;
  cudaOccResult result;
  const cudaOccError error = cudaOccMaxActiveBlocksPerMultiprocessor(
      &result, &properties, &attributes, &state, use.threads,
      static_cast<std::size_t>(use.smem_bytes));
  EXPECT_EQ(error, CUDA_OCC_SUCCESS) << limits.compute_capability;
  return result.activeBlocksPerMultiprocessor;
}

TEST(OccupancyTest, AgreesWithTheCalculatorOfTheToolkit) {
  for (const int capability : {75, 80, 86, 87, 89, 90, 100, 103, 110, 120, 121}) {
    const SmLimits& limits = *sm_limits(capability);
    for (const int threads : {1, 32, 96, 128, 160, 256, 384, 512, 1000, 1024}) {
      for (const int registers : {1, 16, 32, 33, 40, 64, 72, 96, 128, 168, 255}) {
        for (const int smem : {0, 1, 1024, 8256, 49152, 65536, 102400, 167936, 232448, 233472}) {
          for (const int barriers : {0, 1, 3, 16}) {
            const BlockUse use{.threads = threads,
                               .registers = registers,
                               .smem_bytes = smem,
                               .barriers = barriers};
            ASSERT_EQ(occupancy(limits, use).blocks, calculated_blocks(limits, use))
                << "sm_" << capability << ", " << threads << " threads, " << registers
                << " registers, " << smem << " bytes, " << barriers << " barriers";
          }
        }
      }
    }
  }
}

#endif

}  // namespace
}  // namespace fms::program

// What a kernel may not do, and what the CPU target says of it: a GPU has undefined behaviour there
// or an error that names nothing, or it is a GPU's own.

#include <string>
#include <vector>

#include "tests/conformance/conformance_fixture.h"
#include "tests/runtime/expectations.h"

namespace fms {
namespace {

using testing::code_of;
using testing::message_of;

class MisuseConformanceTest : public ConformanceTest {
 protected:
  Result<Kernel> build_misuse(const std::string& name) { return build(name, {}, "misuse"); }
  Kernel misuse(const std::string& name) { return kernel(name, {}, "misuse"); }

  // The message of a build that fails as one must where the source is at fault.
  std::string refusal(const std::string& name) {
    const Result<Kernel> built = build_misuse(name);
    EXPECT_EQ(code_of(built), ErrorCode::kCompileFailed);
    return message_of(built);
  }

  // The message of a kernel that fails while it runs.
  template <typename... Arguments>
  std::string failure(const Kernel& kernel, const LaunchConfig& config,
                      const Arguments&... arguments) {
    const Result<void> done = try_run(kernel, config, arguments...);
    EXPECT_EQ(code_of(done), ErrorCode::kDriver);
    return message_of(done);
  }
};

TEST_P(MisuseConformanceTest, InlinePtxIsRefusedWithItsLine) {
  const std::string message = refusal("inline_ptx");
  EXPECT_CONTAINS(message, "inline_ptx.cu(3)");
  EXPECT_CONTAINS(message, "PTX");
}

TEST_P(MisuseConformanceTest, BulkCopiesWgmmaAndClusterBarriersAreRefusedWithTheirLines) {
  const std::string copy = refusal("bulk_copy");
  EXPECT_CONTAINS(copy, "bulk_copy.cu(4)");
  EXPECT_CONTAINS(copy, "PTX");
  const std::string fence = refusal("wgmma");  // no operand that a CPU's assembler would mind
  EXPECT_CONTAINS(fence, "wgmma.cu(1)");
  EXPECT_CONTAINS(fence, "wgmma.fence");
  const std::string cluster = refusal("cluster_barrier");
  EXPECT_CONTAINS(cluster, "cluster_barrier.cu(2)");
  EXPECT_CONTAINS(cluster, "barrier.cluster");
}

TEST_P(MisuseConformanceTest, AnErrorOfTheSourceNamesItsLine) {
  const std::string message = refusal("undefined_name");
  EXPECT_CONTAINS(message, "undefined_name.cu(3)");
  EXPECT_CONTAINS(message, "no_such_name");
}

TEST_P(MisuseConformanceTest, ALaunchInClustersIsRefused) {
  const auto y = array(std::vector<float>{1, 1});
  const auto refused =
      try_run(kernel("grid_stride"), {.grid = {2}, .block = {32}, .cluster = {2}}, y, y, 1.0f, 0ll);
  EXPECT_EQ(code_of(refused), ErrorCode::kUnsupported);
  EXPECT_CONTAINS(message_of(refused), "clusters");
}

TEST_P(MisuseConformanceTest, BarriersThatNeverMeetAreReportedWithCountsAndLines) {
  const std::string message =
      failure(misuse("divergent_barriers"), {.grid = {1}, .block = {100}}, poisoned<int>(100));
  EXPECT_CONTAINS(message, "block (0,0,0)");
  EXPECT_CONTAINS(message, "10 threads wait at divergent_barriers.cu:3 (__syncthreads");
  EXPECT_CONTAINS(message, "90 at divergent_barriers.cu:8 (__syncthreads");
  EXPECT_CONTAINS(message, "never meet");
}

TEST_P(MisuseConformanceTest, LanesThatWaitForOthersWhichNeverComeAreReported) {
  const std::string message =
      failure(misuse("lanes_that_never_come"), {.grid = {1}, .block = {32}}, poisoned<int>(32));
  EXPECT_CONTAINS(message, "lanes_that_never_come.cu:4");
  EXPECT_CONTAINS(message, "mask 0xffffffff");
  EXPECT_CONTAINS(message, "lanes_that_never_come.cu:6");
  EXPECT_CONTAINS(message, "5 threads");
  EXPECT_CONTAINS(message, "27 at");
}

TEST_P(MisuseConformanceTest, AMaskWithoutTheCallingLaneIsReported) {
  const std::string message =
      failure(misuse("mask_without_self"), {.grid = {1}, .block = {64}}, poisoned<int>(64));
  EXPECT_CONTAINS(message, "mask_without_self.cu:2");
  EXPECT_CONTAINS(message, "mask 0xfffffffe");
  EXPECT_CONTAINS(message, "own lane 0");
}

TEST_P(MisuseConformanceTest, AnAssertionThatFailsSaysWhereAndWho) {
  std::vector<int> x(2 * 3 * 50, 0);
  x[4 * 50 + 37] = 42;  // block (0,2,0) of a grid of (2,3)
  const LaunchConfig config{.grid = {2, 3}, .block = {50}};
  const Kernel kernel = misuse("failing_assert");
  const std::string message = failure(kernel, config, array(x));
  EXPECT_CONTAINS(message, "failing_assert.cu:3");
  EXPECT_CONTAINS(message, "x[i] != 42");
  EXPECT_CONTAINS(message, "block (0,2,0)");
  EXPECT_CONTAINS(message, "thread (37,0,0)");
  x[4 * 50 + 37] = 41;
  run(kernel, config, array(x));  // the device is as it was
}

TEST_P(MisuseConformanceTest, ATrapSaysWhoCalledIt) {
  const std::string message = failure(misuse("trap"), {.grid = {4}, .block = {64}}, 2, 63);
  EXPECT_CONTAINS(message, "trap");
  EXPECT_CONTAINS(message, "block (2,0,0)");
  EXPECT_CONTAINS(message, "thread (63,0,0)");
}

INSTANTIATE_TEST_SUITE_P(On, MisuseConformanceTest, ::testing::Values("cpu"), target_name);

}  // namespace
}  // namespace fms

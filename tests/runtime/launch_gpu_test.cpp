// The ways to launch that only a device can judge: clusters, cooperative and programmatic launches,
// graphs.

#include <dlfcn.h>

#include <numeric>
#include <vector>

#include "runtime/driver.h"
#include "tests/runtime/gpu_fixture.h"

namespace fms {
namespace {

using testing::code_of;
using testing::message_of;
using testing::must;
using testing::must_succeed;

class LaunchGpuTest : public testing::GpuTest {
 protected:
  // The rank of each of `blocks` blocks in its cluster.
  std::vector<int> cluster_ranks(unsigned blocks, const Dim3& cluster) {
    const Kernel kernel = load(R"(
extern "C" __global__ void cluster_rank(int* out) {
  int rank;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  if (threadIdx.x == 0) out[blockIdx.x] = rank;
}
)");
    const DeviceBuffer out = upload(std::vector<int>(blocks, -1));
    must_succeed(launch({}, {.grid = {blocks, 1, 1}, .block = {32, 1, 1}, .cluster = cluster},
                        kernel, out.data()));
    return download<int>(out);
  }
};

TEST_F(LaunchGpuTest, BlocksKnowTheirPlaceInTheCluster) {
  if (!is_hopper_or_later()) GTEST_SKIP() << "clusters need compute capability 9.0";
  EXPECT_EQ(cluster_ranks(8, {4, 1, 1}), (std::vector<int>{0, 1, 2, 3, 0, 1, 2, 3}));
  EXPECT_EQ(cluster_ranks(3, {}), (std::vector<int>{0, 0, 0}));
}

TEST_F(LaunchGpuTest, ClustersOf16AreAllowedWhereTheHardwareHasThem) {
  const int capability = device_->info().compute_capability;
  if (capability != 90 && capability != 100) GTEST_SKIP() << "no clusters of 16";
  std::vector<int> expected(16);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(cluster_ranks(16, {16, 1, 1}), expected);
}

TEST_F(LaunchGpuTest, ProgrammaticLaunchesKeepTheirOrderWhereTheKernelWaits) {
  if (!is_hopper_or_later()) GTEST_SKIP() << "programmatic launch needs compute capability 9.0";
  const Kernel kernel = load(R"(
extern "C" __global__ void count_up(int* x) {
  asm volatile("griddepcontrol.wait;" ::: "memory");
  x[blockIdx.x * blockDim.x + threadIdx.x] += 1;
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}
)");
  const DeviceBuffer x = upload(std::vector<int>(64 * 128, 0));
  const Stream stream = must(Stream::create(device_));
  const LaunchConfig config{.grid = {64, 1, 1}, .block = {128, 1, 1}, .programmatic_launch = true};
  for (int i = 0; i < 100; ++i) must_succeed(launch(stream, config, kernel, x.data()));
  EXPECT_EQ(download<int>(x), std::vector<int>(64 * 128, 100));
}

constexpr const char* kMeet = R"(
extern "C" __global__ void meet(unsigned* arrived, unsigned* seen) {
  if (threadIdx.x != 0) return;
  __threadfence();
  atomicAdd(arrived, 1u);
  while (*static_cast<volatile unsigned*>(arrived) < gridDim.x) {}
  seen[blockIdx.x] = *static_cast<volatile unsigned*>(arrived);
}
)";

TEST_F(LaunchGpuTest, BlocksOfACooperativeLaunchMeet) {
  const Kernel kernel = load(kMeet);
  const auto blocks = static_cast<unsigned>(device_->info().sm_count);
  const DeviceBuffer arrived = upload(std::vector<unsigned>{0});
  const DeviceBuffer seen = upload(std::vector<unsigned>(blocks, 0));
  must_succeed(launch({}, {.grid = {blocks, 1, 1}, .block = {128, 1, 1}, .cooperative = true},
                      kernel, arrived.data(), seen.data()));
  EXPECT_EQ(download<unsigned>(seen), std::vector<unsigned>(blocks, blocks));
}

TEST_F(LaunchGpuTest, ACooperativeGridThatDoesNotFitIsRefused) {
  const Kernel kernel = load(kMeet);
  const DeviceBuffer memory = upload(std::vector<unsigned>{0, 0});
  const auto refused =
      launch({}, {.grid = {1'000'000, 1, 1}, .block = {128, 1, 1}, .cooperative = true}, kernel,
             memory.data(), memory.data());
  EXPECT_EQ(code_of(refused), ErrorCode::kInvalidArgument);
  EXPECT_CONTAINS(message_of(refused), "at once the device holds");
  EXPECT_TRUE(device_->synchronize());
}

// The runtime has no graphs of its own; frameworks capture its launches into theirs.
struct GraphFunctions {
  explicit GraphFunctions(const Driver& driver) {
    void* library = dlopen(driver.path().c_str(), RTLD_NOW);
    const auto find = [&]<typename Function>(Function& function, const char* name) {
      function = reinterpret_cast<Function>(dlsym(library, name));
      ASSERT_NE(function, nullptr) << name;
    };
    find(begin, "cuStreamBeginCapture_v2");
    find(end, "cuStreamEndCapture");
    find(instantiate, "cuGraphInstantiateWithFlags");
    find(launch, "cuGraphLaunch");
    find(destroy_instance, "cuGraphExecDestroy");
    find(destroy, "cuGraphDestroy");
  }
  CUresult (*begin)(CUstream, CUstreamCaptureMode) = nullptr;
  CUresult (*end)(CUstream, CUgraph*) = nullptr;
  CUresult (*instantiate)(CUgraphExec*, CUgraph, unsigned long long) = nullptr;
  CUresult (*launch)(CUgraphExec, CUstream) = nullptr;
  CUresult (*destroy_instance)(CUgraphExec) = nullptr;
  CUresult (*destroy)(CUgraph) = nullptr;
};

TEST_F(LaunchGpuTest, ACapturedLaunchIsReplayedWithItsArguments) {
  const Kernel kernel = load(R"(
extern "C" __global__ void add(int* x, int value) { x[threadIdx.x] += value; }
)");
  const DeviceBuffer x = upload(std::vector<int>(32, 0));
  const Stream stream = must(Stream::create(device_));
  const auto handle = static_cast<CUstream>(stream.view().handle);
  const GraphFunctions graphs(device_->driver());

  ASSERT_EQ(graphs.begin(handle, CU_STREAM_CAPTURE_MODE_GLOBAL), CUDA_SUCCESS);
  EXPECT_TRUE(must(is_capturing(*device_, stream)));
  for (const int value : {1, 10, 100}) {
    EXPECT_TRUE(launch(stream, {.block = {32, 1, 1}}, kernel, x.data(), value));
  }
  CUgraph graph = nullptr;
  ASSERT_EQ(graphs.end(handle, &graph), CUDA_SUCCESS);
  EXPECT_FALSE(must(is_capturing(*device_, stream)));
  EXPECT_EQ(download<int>(x), std::vector<int>(32, 0)) << "captured, and not launched";

  CUgraphExec instance = nullptr;
  ASSERT_EQ(graphs.instantiate(&instance, graph, 0), CUDA_SUCCESS);
  for (int i = 0; i < 2; ++i) ASSERT_EQ(graphs.launch(instance, handle), CUDA_SUCCESS);
  EXPECT_EQ(download<int>(x), std::vector<int>(32, 222));
  graphs.destroy_instance(instance);
  graphs.destroy(graph);
}

TEST_F(LaunchGpuTest, WaitingInACaptureIsCalledThat) {
  const Stream stream = must(Stream::create(device_));
  const auto handle = static_cast<CUstream>(stream.view().handle);
  const GraphFunctions graphs(device_->driver());
  ASSERT_EQ(graphs.begin(handle, CU_STREAM_CAPTURE_MODE_RELAXED), CUDA_SUCCESS);
  EXPECT_EQ(code_of(stream.synchronize()), ErrorCode::kCapturing);
  CUgraph graph = nullptr;
  graphs.end(handle, &graph);
  if (graph) graphs.destroy(graph);
  EXPECT_TRUE(stream.synchronize());
}

}  // namespace
}  // namespace fms

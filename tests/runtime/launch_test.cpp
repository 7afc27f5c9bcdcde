#include "runtime/launch.h"

#include <cstring>
#include <thread>
#include <vector>

#include "runtime/driver.h"
#include "runtime/launch_floor.h"
#include "tests/runtime/fake_device_fixture.h"

namespace fms {
namespace {

using testing::code_of;
using testing::message_of;
using testing::must;

constexpr LaunchConfig kOneBlock{.grid = {2, 1, 1}, .block = {64, 1, 1}};

class LaunchTest : public testing::FakeDeviceTest {
 protected:
  static Kernel load(const std::shared_ptr<Device>& device, const FakeKernel& kernel) {
    return must(Kernel::load(device, fake_object(kernel, device->target())));
  }
  Kernel plain() { return load(hopper_, {.name = "plain"}); }

  // A launch of a kernel with no arguments fails: its code and message.
  void expect_refused(const Kernel& kernel, const LaunchConfig& config, ErrorCode code,
                      const char* part) {
    const auto launched = launch({}, config, kernel);
    EXPECT_EQ(code_of(launched), code);
    EXPECT_CONTAINS(message_of(launched), "can't launch " + kernel.name());
    EXPECT_CONTAINS(message_of(launched), part);
    EXPECT_TRUE(fake_launches().empty());
  }
};

template <typename T>
T value_of(const std::vector<std::byte>& bytes) {
  T value;
  EXPECT_EQ(bytes.size(), sizeof(value));
  std::memcpy(&value, bytes.data(), sizeof(value));
  return value;
}

TEST_F(LaunchTest, TheFloorIsTheSameLaunchAsOften) {
  const Kernel kernel = load(hopper_, {.name = "saxpy", .parameter_sizes = {4}});
  const int n = 7;
  const Argument list[] = {{&n, sizeof(n)}};
  EXPECT_GT(must(seconds_of_raw_launches({}, kOneBlock, kernel, list, 3)), 0);
  ASSERT_EQ(fake_launches().size(), 3u);
  for (const FakeLaunch& each : fake_launches()) {
    EXPECT_EQ(each.grid, kOneBlock.grid);
    EXPECT_EQ(each.block, kOneBlock.block);
    ASSERT_EQ(each.arguments.size(), 1u);
    EXPECT_EQ(std::memcmp(each.arguments[0].data(), &n, sizeof(n)), 0);
  }
  fake_fail_next("cuLaunchKernelEx", CUDA_ERROR_INVALID_VALUE);
  EXPECT_CONTAINS(message_of(seconds_of_raw_launches({}, kOneBlock, kernel, list, 3)), "saxpy");
}

TEST_F(LaunchTest, TheDriverGetsWhatWasAsked) {
  const Kernel kernel = load(hopper_, {.name = "saxpy", .parameter_sizes = {4, 8, 12}});
  const Stream stream = must(Stream::create(hopper_));
  struct Size {
    int x, y, z;
  };
  const LaunchConfig config{
      .grid = {10, 20, 30}, .block = {32, 4, 2}, .dynamic_smem_bytes = 100'000};
  ASSERT_TRUE(launch(stream, config, kernel, 2.5f, reinterpret_cast<void*>(0x1234), Size{7, 8, 9}));
  ASSERT_EQ(fake_launches().size(), 1u);
  const FakeLaunch launched = fake_launches()[0];
  EXPECT_EQ(launched.kernel, "saxpy");
  EXPECT_EQ(launched.device, 0);
  EXPECT_EQ(launched.stream, stream.view().handle);
  EXPECT_EQ(launched.grid, (Dim3{10, 20, 30}));
  EXPECT_EQ(launched.block, (Dim3{32, 4, 2}));
  EXPECT_EQ(launched.cluster, Dim3{});
  EXPECT_EQ(launched.dynamic_smem_bytes, 100'000u);
  EXPECT_FALSE(launched.cooperative || launched.programmatic || launched.captured);
  ASSERT_EQ(launched.arguments.size(), 3u);
  EXPECT_EQ(value_of<float>(launched.arguments[0]), 2.5f);
  EXPECT_EQ(value_of<std::uint64_t>(launched.arguments[1]), 0x1234u);
  EXPECT_EQ(value_of<Size>(launched.arguments[2]).z, 9);
}

TEST_F(LaunchTest, AttributesAreThoseAskedForAndNoOthers) {
  const Kernel kernel = plain();
  LaunchConfig config{.grid = {4, 1, 1}, .block = {64, 1, 1}};
  ASSERT_TRUE(launch({}, config, kernel));
  config.cluster = {2, 1, 1};
  ASSERT_TRUE(launch({}, config, kernel));
  config.cooperative = true;
  config.programmatic_launch = true;
  ASSERT_TRUE(launch({}, config, kernel));
  config.cluster = {};
  config.cooperative = false;
  ASSERT_TRUE(launch({}, config, kernel));
  const auto launches = fake_launches();
  EXPECT_EQ(launches[0].cluster, Dim3{});
  EXPECT_EQ(launches[1].cluster, (Dim3{2, 1, 1}));
  EXPECT_FALSE(launches[1].cooperative || launches[1].programmatic);
  EXPECT_EQ(launches[2].cluster, (Dim3{2, 1, 1}));
  EXPECT_TRUE(launches[2].cooperative && launches[2].programmatic);
  EXPECT_EQ(launches[3].cluster, Dim3{});
  EXPECT_TRUE(!launches[3].cooperative && launches[3].programmatic);
}

TEST_F(LaunchTest, AWrongNumberOfArgumentsIsRefused) {
  const Kernel kernel = load(hopper_, {.name = "saxpy", .parameter_sizes = {4, 8}});
  const auto launched = launch({}, kOneBlock, kernel, 1.0f);
  EXPECT_EQ(code_of(launched), ErrorCode::kInvalidArgument);
  EXPECT_CONTAINS(message_of(launched),
                  "can't launch saxpy on cuda:0 (Fake H100): it takes 2 "
                  "arguments, and 1 is given");
  EXPECT_EQ(code_of(launch({}, kOneBlock, kernel, 1.0f, std::uint64_t{1}, 2)),
            ErrorCode::kInvalidArgument);
  EXPECT_TRUE(fake_launches().empty());
}

TEST_F(LaunchTest, AnArgumentOfTheWrongSizeIsRefusedByItsPlace) {
  const Kernel kernel = load(hopper_, {.name = "saxpy", .parameter_sizes = {4, 8}});
  const auto launched = launch({}, kOneBlock, kernel, 1.0f, 2);
  EXPECT_EQ(code_of(launched), ErrorCode::kInvalidArgument);
  EXPECT_CONTAINS(message_of(launched),
                  "argument 2 of 2 has 4 bytes, and the kernel's parameter "
                  "has 8");
  EXPECT_TRUE(fake_launches().empty());
}

TEST_F(LaunchTest, AnArgumentWithoutDataIsRefused) {
  const Kernel kernel = load(hopper_, {.name = "saxpy", .parameter_sizes = {8}});
  const Argument nothing[] = {{nullptr, 8}};
  const auto launched = launch({}, kOneBlock, kernel, std::span<const Argument>(nothing));
  EXPECT_EQ(code_of(launched), ErrorCode::kInvalidArgument);
  EXPECT_CONTAINS(message_of(launched), "argument 1 of 1 has no data");
}

TEST_F(LaunchTest, AKernelMayTakeAHundredArguments) {
  const Kernel kernel =
      load(hopper_, {.name = "many", .parameter_sizes = std::vector<std::uint32_t>(100, 4)});
  std::vector<std::uint32_t> values(100);
  std::vector<Argument> arguments;
  for (std::uint32_t i = 0; i < 100; ++i) {
    values[i] = i * i;
    arguments.push_back({&values[i], 4});
  }
  ASSERT_TRUE(launch({}, kOneBlock, kernel, std::span<const Argument>(arguments)));
  const FakeLaunch launched = fake_launches().at(0);
  for (std::uint32_t i = 0; i < 100; ++i) {
    EXPECT_EQ(value_of<std::uint32_t>(launched.arguments[i]), i * i);
  }
}

TEST_F(LaunchTest, AGridWithNoBlocksStartsNothingAndSucceeds) {
  const Kernel kernel = plain();
  EXPECT_TRUE(launch({}, {.grid = {0, 5, 5}, .block = {64, 1, 1}}, kernel));
  EXPECT_TRUE(launch({}, {.grid = {5, 5, 0}, .block = {64, 1, 1}}, kernel));
  EXPECT_EQ(fake_calls("cuLaunchKernelEx"), 0);
  // Its arguments are checked all the same.
  EXPECT_FALSE(launch({}, {.grid = {0, 1, 1}}, kernel, 1));
}

TEST_F(LaunchTest, BlocksThatCannotBeAreRefused) {
  const Kernel kernel = plain();
  const auto refused = [&](Dim3 block, const char* part) {
    expect_refused(kernel, {.block = block}, ErrorCode::kInvalidArgument, part);
  };
  refused({0, 1, 1}, "a block of 0x1x1 threads is not possible");
  refused({1, 0, 1}, "a block of 1x0x1 threads is not possible");
  refused({1025, 1, 1}, "a block of 1025x1x1 threads is not possible; 1x1x1 to 1024x1024x64 is");
  refused({1, 1, 65}, "a block of 1x1x65 threads is not possible");
  refused({64, 32, 1}, "a block of 64x32x1 is 2048 threads, and this kernel allows 1024");
}

TEST_F(LaunchTest, LaunchBoundsAreKept) {
  const Kernel kernel = load(hopper_, {.name = "bounded", .registers = 168, .max_threads = 384});
  EXPECT_TRUE(launch({}, {.block = {384, 1, 1}}, kernel));
  fake_reset();
  expect_refused(kernel, {.block = {385, 1, 1}}, ErrorCode::kInvalidArgument,
                 "385 threads, and this kernel allows 384");
}

TEST_F(LaunchTest, GridsThatCannotBeAreRefused) {
  const Kernel kernel = plain();
  expect_refused(kernel, {.grid = {1, 65536, 1}}, ErrorCode::kInvalidArgument,
                 "a grid of 1x65536x1 blocks is more than 2147483647x65535x65535");
  EXPECT_TRUE(launch({}, {.grid = {2147483647, 1, 1}}, kernel));
}

TEST_F(LaunchTest, SharedMemoryIsLimitedToWhatTheKernelHasLeft) {
  const Kernel kernel = load(hopper_, {.name = "tiled", .static_smem_bytes = 448});
  EXPECT_TRUE(launch({}, {.dynamic_smem_bytes = 232'000}, kernel));
  fake_reset();
  expect_refused(kernel, {.dynamic_smem_bytes = 232'001}, ErrorCode::kInvalidArgument,
                 "232001 bytes of dynamic shared memory are more than the 232000 that the device "
                 "has for it beside 448 static ones");
}

TEST_F(LaunchTest, ClustersDivideTheGridAndHaveUpTo16Blocks) {
  const Kernel kernel = plain();
  const auto refused = [&](Dim3 grid, Dim3 cluster, const char* part) {
    expect_refused(kernel, {.grid = grid, .cluster = cluster}, ErrorCode::kInvalidArgument, part);
  };
  refused({6, 1, 1}, {4, 1, 1}, "clusters of 4x1x1 don't divide a grid of 6x1x1");
  refused({4, 3, 1}, {2, 2, 1}, "clusters of 2x2x1 don't divide a grid of 4x3x1");
  refused({64, 1, 1}, {32, 1, 1}, "a cluster of 32x1x1 blocks is not possible; 1 to 16");
  refused({4, 1, 1}, {0, 1, 1}, "a cluster of 0x1x1 blocks is not possible");
  refused({1u << 31 >> 1, 1, 1}, {1u << 16, 1u << 16, 1}, "is not possible");
  EXPECT_TRUE(launch({}, {.grid = {32, 1, 1}, .cluster = {16, 1, 1}}, kernel));
}

TEST_F(LaunchTest, ClustersAndProgrammaticLaunchNeedHopper) {
  const Kernel kernel = load(ampere_, {.name = "plain"});
  expect_refused(kernel, {.grid = {2, 1, 1}, .cluster = {2, 1, 1}}, ErrorCode::kUnsupported,
                 "clusters need compute capability 9.0, and the device has 8.0");
  expect_refused(kernel, {.programmatic_launch = true}, ErrorCode::kUnsupported,
                 "programmatic launch needs compute capability 9.0, and the device has 8.0");
  EXPECT_TRUE(launch({}, {.cooperative = true}, kernel));
}

TEST_F(LaunchTest, ACooperativeGridThatDoesNotFitSaysWhatDoes) {
  const Kernel kernel = plain();
  expect_refused(kernel, {.grid = {133, 1, 1}, .cooperative = true}, ErrorCode::kInvalidArgument,
                 "the device holds 132 blocks, 1 on each of 132 SMs");
}

TEST_F(LaunchTest, WhatAnEarlierKernelDidIsNotBlamedOnThisOne) {
  const Kernel kernel = plain();
  fake_fail_next("cuLaunchKernelEx", CUDA_ERROR_ILLEGAL_ADDRESS);
  expect_refused(kernel, kOneBlock, ErrorCode::kDriver, "an earlier kernel on this device failed");
}

TEST_F(LaunchTest, DriverErrorsSayHowItWasLaunched) {
  const Kernel kernel = plain();
  fake_fail_next("cuLaunchKernelEx", CUDA_ERROR_INVALID_VALUE);
  expect_refused(kernel, kOneBlock, ErrorCode::kDriver, "with grid 2x1x1, block 64x1x1");
}

TEST_F(LaunchTest, APreparedKernelIsLaunchedInACapture) {
  const Kernel kernel = plain();
  const Stream stream = must(Stream::create(hopper_));
  fake_set_capturing(stream, true);
  EXPECT_TRUE(launch(stream, kOneBlock, kernel));
  fake_set_capturing(stream, false);
  EXPECT_TRUE(fake_launches().at(0).captured);
}

TEST_F(LaunchTest, KernelsOfSeveralDevicesAreLaunchedInTurn) {
  const Kernel on_hopper = plain();
  const Kernel on_ampere = load(ampere_, {.name = "plain"});
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(launch({}, kOneBlock, on_hopper));
    ASSERT_TRUE(launch({}, kOneBlock, on_ampere));
  }
  const auto launches = fake_launches();
  ASSERT_EQ(launches.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(launches[i].device, static_cast<int>(i % 2));
}

TEST_F(LaunchTest, ThreadsLaunchOneKernelTogether) {
  const Kernel kernel = load(hopper_, {.name = "shared", .parameter_sizes = {4}});
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&kernel] {
      for (int i = 0; i < 50; ++i) EXPECT_TRUE(launch({}, kOneBlock, kernel, i));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(fake_launches().size(), 400u);
}

TEST_F(LaunchTest, OnItsWayALaunchAsksTheDriverForNothingElse) {
  const Kernel kernel = load(hopper_, {.name = "saxpy", .parameter_sizes = {4}});
  ASSERT_TRUE(launch({}, kOneBlock, kernel, 1));
  fake_reset();
  ASSERT_TRUE(launch({}, kOneBlock, kernel, 1));
  EXPECT_EQ(fake_calls("cuCtxGetCurrent"), 1);
  EXPECT_EQ(fake_calls("cuLaunchKernelEx"), 1);
  EXPECT_EQ(fake_calls("cuCtxSetCurrent") + fake_calls("cuFuncSetAttribute") +
                fake_calls("cuFuncGetAttribute"),
            0);
}

}  // namespace
}  // namespace fms

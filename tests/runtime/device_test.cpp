#include "runtime/device.h"

#include <thread>
#include <vector>

#include "runtime/device_scope.h"
#include "runtime/driver.h"
#include "tests/runtime/fake_device_fixture.h"

namespace fms {
namespace {

using testing::code_of;
using testing::message_of;
using testing::must;

class DeviceTest : public testing::FakeDeviceTest {
 protected:
  CUcontext current() const {
    CUcontext context = nullptr;
    hopper_->driver().call.cuCtxGetCurrent(&context);
    return context;
  }
  void make_current(void* context) const {
    hopper_->driver().call.cuCtxSetCurrent(static_cast<CUcontext>(context));
  }
};

TEST_F(DeviceTest, InfoIsWhatTheDriverSays) {
  const DeviceInfo& info = hopper_->info();
  EXPECT_EQ(info.ordinal, 0);
  EXPECT_EQ(info.name, "Fake H100");
  EXPECT_EQ(info.compute_capability, 90);
  EXPECT_EQ(info.sm_count, 132);
  EXPECT_EQ(info.max_threads_per_sm, 2048);
  EXPECT_EQ(info.registers_per_sm, 65536);
  EXPECT_EQ(info.smem_per_sm_bytes, 233472);
  EXPECT_EQ(info.max_smem_per_block_bytes, 232448);
  EXPECT_EQ(info.l2_bytes, 52428800);
  EXPECT_EQ(info.memory_bytes, std::int64_t{80} << 30);
  EXPECT_EQ(info.driver_version, 12040);
  EXPECT_EQ(ampere_->info().name, "Fake A100");
}

TEST_F(DeviceTest, TargetsAreArchitectureSpecificFromHopperOn) {
  EXPECT_EQ(hopper_->target().to_string(), "cuda:sm_90a");
  EXPECT_EQ(ampere_->target().to_string(), "cuda:sm_80");
}

TEST_F(DeviceTest, OpeningTwiceGivesTheSameDevice) {
  EXPECT_EQ(must(Device::open(0)), hopper_);
  EXPECT_NE(must(Device::open(1)), hopper_);
  EXPECT_EQ(fake_live().contexts, 2);
}

TEST_F(DeviceTest, ThreadsThatOpenADeviceTogetherShareIt) {
  hopper_.reset();
  std::vector<std::shared_ptr<Device>> opened(8);
  std::vector<std::thread> threads;
  for (auto& device : opened) threads.emplace_back([&device] { device = must(Device::open(0)); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& device : opened) EXPECT_EQ(device, opened[0]);
  EXPECT_EQ(fake_live().contexts, 2);
}

TEST_F(DeviceTest, ADeviceOpensAgainAfterItWasClosed) {
  hopper_.reset();
  EXPECT_EQ(fake_live().contexts, 1);
  hopper_ = must(Device::open(0));
  EXPECT_TRUE(hopper_->synchronize());
}

TEST_F(DeviceTest, CountIsTheDrivers) { EXPECT_EQ(must(Device::count()), 2); }

TEST_F(DeviceTest, AnOrdinalThatDoesNotExistIsUnavailableAndSaysHowManyThereAre) {
  for (const int ordinal : {-1, 2}) {
    const auto device = Device::open(ordinal);
    EXPECT_EQ(code_of(device), ErrorCode::kUnavailable);
    EXPECT_CONTAINS(message_of(device), "the driver sees 2 devices");
  }
}

TEST(DeviceCountTest, ADriverWithNoDeviceCountsNoneAndOpensNone) {
  use_fake_driver();
  fake_set_device_count(0);
  EXPECT_EQ(must(Device::count()), 0);
  const auto device = Device::open(0);
  EXPECT_EQ(code_of(device), ErrorCode::kUnavailable);
  EXPECT_CONTAINS(message_of(device), "the driver sees no devices");
}

TEST_F(DeviceTest, ACallRestoresTheContextThatWasCurrent) {
  make_current(ampere_->context());
  EXPECT_TRUE(hopper_->synchronize());
  EXPECT_EQ(current(), ampere_->context());
}

TEST_F(DeviceTest, ACallLeavesTheDeviceCurrentWhereNothingWas) {
  std::thread([&] {
    EXPECT_EQ(current(), nullptr);
    EXPECT_TRUE(hopper_->synchronize());
    EXPECT_EQ(current(), hopper_->context());
    // From here on it costs no switch.
    const int switches = fake_calls("cuCtxSetCurrent");
    EXPECT_TRUE(hopper_->synchronize());
    EXPECT_EQ(fake_calls("cuCtxSetCurrent"), switches);
  }).join();
}

TEST_F(DeviceTest, ScopesNest) {
  make_current(ampere_->context());
  {
    const auto outer = DeviceScope::enter(*hopper_);
    ASSERT_TRUE(outer);
    {
      const auto inner = DeviceScope::enter(*ampere_);
      ASSERT_TRUE(inner);
      EXPECT_EQ(current(), ampere_->context());
    }
    EXPECT_EQ(current(), hopper_->context());
  }
  EXPECT_EQ(current(), ampere_->context());
}

TEST_F(DeviceTest, AClosedDeviceIsNotLeftCurrent) {
  ASSERT_TRUE(ampere_->synchronize());
  make_current(ampere_->context());
  ampere_.reset();
  EXPECT_EQ(current(), nullptr);
}

TEST_F(DeviceTest, ADeviceThatAnotherUserHoldsStaysCurrentWhenItIsClosed) {
  CUcontext theirs = nullptr;
  const auto driver = must(Driver::get());
  ASSERT_EQ(driver->call.cuDevicePrimaryCtxRetain(&theirs, 1), CUDA_SUCCESS);
  make_current(theirs);
  ampere_.reset();
  EXPECT_EQ(current(), theirs);
  driver->call.cuDevicePrimaryCtxRelease(1);
}

TEST_F(DeviceTest, ADriverThatHasShutDownMakesNoDestructorFail) {
  fake_fail_next("cuDevicePrimaryCtxRelease", CUDA_ERROR_DEINITIALIZED);
  ampere_.reset();
  const auto driver = must(Driver::get());
  driver->call.cuDevicePrimaryCtxRelease(1);  // what the failed call has left
}

TEST_F(DeviceTest, WaitingReportsWhatAKernelDid) {
  fake_fail_next("cuCtxSynchronize", CUDA_ERROR_ILLEGAL_ADDRESS);
  const auto done = hopper_->synchronize();
  EXPECT_EQ(code_of(done), ErrorCode::kDriver);
  EXPECT_CONTAINS(message_of(done), "can't wait for cuda:0 (Fake H100)");
  EXPECT_CONTAINS(message_of(done), "an earlier kernel on this device failed");
}

}  // namespace
}  // namespace fms

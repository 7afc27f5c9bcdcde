#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "runtime/device.h"
#include "tests/runtime/expectations.h"
#include "tests/runtime/fake_driver/fake_driver.h"

namespace fms::testing {

// Both devices of the fake driver, open. When a test is over, nothing that it made may be left.
class FakeDeviceTest : public ::testing::Test {
 protected:
  FakeDeviceTest() {
    use_fake_driver();
    hopper_ = must(Device::open(0));
    ampere_ = must(Device::open(1));
  }
  ~FakeDeviceTest() override {
    fake_reset();
    hopper_.reset();
    ampere_.reset();
    EXPECT_EQ(fake_live(), FakeLive{}) << "something was not released";
  }

  static Target sm_90a() { return {Target::Kind::kCuda, "sm_90a"}; }
  static Target sm_80() { return {Target::Kind::kCuda, "sm_80"}; }

  std::shared_ptr<Device> hopper_;  // compute capability 9.0
  std::shared_ptr<Device> ampere_;  // 8.0
};

}  // namespace fms::testing

#pragma once

// Internal. Not installed.

#include <string>
#include <utility>

#include "compiler/result.h"
#include "runtime/device.h"
#include "runtime/driver.h"

namespace fms {

// "cuda:0 (NVIDIA H100)", "cpu (AMD EPYC)": a device in messages.
std::string describe(const Device& device);

// Makes a device current for the calling thread as long as it lives. What was current before comes
// back then; if nothing was, the device stays, which makes the next call cheaper.
//
// Belongs to one thread. Nests.
class [[nodiscard]] DeviceScope {
 public:
  static Result<DeviceScope> enter(const Device& device) {
    const Driver& driver = device.driver();
    CUcontext current = nullptr;
    if (driver.call.cuCtxGetCurrent(&current) == CUDA_SUCCESS && current == device.context())
        [[likely]] {
      return DeviceScope();
    }
    return replace(device, current);
  }

  ~DeviceScope() {
    if (driver_) driver_->call.cuCtxSetCurrent(previous_);
  }
  DeviceScope(DeviceScope&& other) noexcept
      : driver_(std::exchange(other.driver_, nullptr)), previous_(other.previous_) {}
  DeviceScope& operator=(DeviceScope&&) = delete;

 private:
  DeviceScope() = default;
  DeviceScope(const Driver* driver, CUcontext previous) : driver_(driver), previous_(previous) {}
  static Result<DeviceScope> replace(const Device& device, CUcontext previous);

  const Driver* driver_ = nullptr;  // null: nothing to bring back
  CUcontext previous_ = nullptr;
};

// Runs `release` with the device current, for destructors: does nothing where the driver can't be
// called any more (after a fork, or at exit), and reports nothing.
template <typename Release>
void release_on(const Device& device, Release&& release) {
  if (!device.driver().usable()) return;
  if (const auto scope = DeviceScope::enter(device))
    std::forward<Release>(release)(device.driver());
}

}  // namespace fms

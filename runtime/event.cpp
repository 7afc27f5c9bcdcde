#include "runtime/event.h"

#include <fmt/format.h>

#include <utility>

#include "runtime/device_scope.h"
#include "runtime/driver.h"

namespace fms {

Result<Event> Event::create(std::shared_ptr<Device> device) {
  FMS_TRY(const DeviceScope scope, DeviceScope::enter(*device));
  const Driver& driver = device->driver();
  CUevent handle = nullptr;
  FMS_TRY_VOID(
      driver.check(driver.call.cuEventCreate(&handle, CU_EVENT_DEFAULT), "cuEventCreate",
                   [&] { return fmt::format("can't make an event on {}", describe(*device)); }));
  return Event(std::move(device), handle);
}

Event::Event(std::shared_ptr<Device> device, void* handle)
    : device_(std::move(device)), handle_(handle) {}

Event::~Event() {
  if (!handle_) return;
  release_on(*device_, [&](const Driver& driver) {
    driver.call.cuEventDestroy(static_cast<CUevent>(handle_));
  });
}

Event::Event(Event&& other) noexcept
    : device_(std::move(other.device_)), handle_(std::exchange(other.handle_, nullptr)) {}

Event& Event::operator=(Event&& other) noexcept {
  Event moved(std::move(other));
  std::swap(device_, moved.device_);
  std::swap(handle_, moved.handle_);
  return *this;
}

Result<void> Event::record(StreamView stream) {
  FMS_TRY(const DeviceScope scope, DeviceScope::enter(*device_));
  const Driver& driver = device_->driver();
  return driver.check(driver.call.cuEventRecord(static_cast<CUevent>(handle_),
                                                static_cast<CUstream>(stream.handle)),
                      "cuEventRecord", [&] {
                        return fmt::format("can't record an event on {}", describe(*device_));
                      });
}

Result<void> Event::synchronize() const {
  FMS_TRY(const DeviceScope scope, DeviceScope::enter(*device_));
  const Driver& driver = device_->driver();
  return driver.check(
      driver.call.cuEventSynchronize(static_cast<CUevent>(handle_)), "cuEventSynchronize",
      [&] { return fmt::format("can't wait for an event on {}", describe(*device_)); });
}

Result<void> Event::make_wait(StreamView stream) const {
  FMS_TRY(const DeviceScope scope, DeviceScope::enter(*device_));
  const Driver& driver = device_->driver();
  return driver.check(driver.call.cuStreamWaitEvent(static_cast<CUstream>(stream.handle),
                                                    static_cast<CUevent>(handle_), 0),
                      "cuStreamWaitEvent", [&] {
                        return fmt::format("can't make a stream wait for an event on {}",
                                           describe(*device_));
                      });
}

Result<float> elapsed_ms(const Event& start, const Event& end) {
  FMS_TRY(const DeviceScope scope, DeviceScope::enter(*start.device()));
  const Driver& driver = start.device()->driver();
  float milliseconds = 0;
  FMS_TRY_VOID(driver.check(
      driver.call.event_elapsed_time(&milliseconds, static_cast<CUevent>(start.handle()),
                                     static_cast<CUevent>(end.handle())),
      "cuEventElapsedTime",
      [] { return "can't time two events, which must be recorded, done, and of one device"; }));
  return milliseconds;
}

}  // namespace fms

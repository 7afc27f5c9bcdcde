#pragma once

#include <memory>

#include "compiler/result.h"
#include "runtime/stream.h"

namespace fms {

// A point in a stream's work, with a time.
class Event {
 public:
  static Result<Event> create(std::shared_ptr<Device> device);
  ~Event();
  Event(Event&& other) noexcept;
  Event& operator=(Event&& other) noexcept;

  Result<void> record(StreamView stream);
  Result<void> synchronize() const;
  Result<void> make_wait(StreamView stream) const;  // the stream goes on when this has happened

  const std::shared_ptr<Device>& device() const { return device_; }
  void* handle() const { return handle_; }  // CUevent

 private:
  Event(std::shared_ptr<Device> device, void* handle);

  std::shared_ptr<Device> device_;
  void* handle_ = nullptr;
};

// Milliseconds between two recorded events that have happened.
Result<float> elapsed_ms(const Event& start, const Event& end);

}  // namespace fms

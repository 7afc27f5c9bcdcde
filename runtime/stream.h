#pragma once

#include <memory>

#include "compiler/result.h"
#include "runtime/device.h"

namespace fms {

// Somebody's stream, not owned: a CUstream, such as a framework's current one. The default is the
// device's legacy default stream. Copied freely; must not outlive the stream.
struct StreamView {
  void* handle = nullptr;  // CUstream
};

// A stream of its own, non-blocking with respect to the default stream; destroyed with the object.
class Stream {
 public:
  static Result<Stream> create(std::shared_ptr<Device> device);
  ~Stream();
  Stream(Stream&& other) noexcept;
  Stream& operator=(Stream&& other) noexcept;

  StreamView view() const { return {handle_}; }
  operator StreamView() const { return view(); }
  const std::shared_ptr<Device>& device() const { return device_; }

  Result<void> synchronize() const;

 private:
  Stream(std::shared_ptr<Device> device, void* handle);

  std::shared_ptr<Device> device_;
  void* handle_ = nullptr;
};

Result<void> synchronize(const Device& device, StreamView stream);

// False while the device has work of the stream's to do. A failure that an earlier kernel left
// behind is this one's, as it is synchronize()'s.
Result<bool> is_idle(const Device& device, StreamView stream);

// True while `stream` records into a CUDA graph.
Result<bool> is_capturing(const Device& device, StreamView stream);

}  // namespace fms

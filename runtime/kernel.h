#pragma once

#include <memory>
#include <string>

#include "compiler/object_code.h"
#include "compiler/result.h"
#include "runtime/device.h"

namespace fms {

// Object code that a device has loaded. Unloaded with the last kernel that uses it, unless the
// driver has shut down before.
//
// Thread-safe.
class Library {
 public:
  // Fails with kUnsupported if the code is for another architecture (the message says both),
  // kCorrupt if the driver refuses the image, kDriver otherwise.
  static Result<std::shared_ptr<const Library>> load(std::shared_ptr<Device> device,
                                                     const ObjectCode& object);
  ~Library();
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;

  const std::shared_ptr<Device>& device() const { return device_; }
  void* handle() const { return handle_; }  // CUlibrary

 private:
  Library(std::shared_ptr<Device> device, void* handle);

  std::shared_ptr<Device> device_;
  void* handle_;
};

// A function that can be launched on its library's device. A cheap copy of a shared, immutable
// thing.
//
// Thread-safe.
class Kernel {
 public:
  // Loads `object` on `device` and takes its entry. Checks what the driver says of the function
  // against what the object code says (an admission test), and allows the function all the dynamic
  // shared memory that the device has left for it, so that no launch needs to.
  static Result<Kernel> load(std::shared_ptr<Device> device, const ObjectCode& object);

  const std::string& name() const { return data_->name; }
  const Resources& resources() const { return data_->resources; }
  const Target& target() const { return data_->target; }
  const std::shared_ptr<Device>& device() const { return data_->library->device(); }
  int max_dynamic_smem_bytes() const { return data_->max_dynamic_smem_bytes; }
  int max_threads_per_block() const { return data_->max_threads_per_block; }  // on this device
  // False for PTX that a driver before CUDA 12.4 has compiled: launch() can't check arguments then.
  bool parameters_known() const { return data_->parameters_known; }
  // Blocks that fit on one SM at once.
  Result<int> occupancy(int threads, int dynamic_smem_bytes) const;

  void* function() const { return data_->function; }  // CUfunction

 private:
  struct Data {
    std::shared_ptr<const Library> library;
    std::string name;
    Target target;
    Resources resources;
    int max_dynamic_smem_bytes = 0;
    int max_threads_per_block = 0;
    bool parameters_known = true;
    void* function = nullptr;  // CUfunction
  };
  explicit Kernel(std::shared_ptr<const Data> data) : data_(std::move(data)) {}

  std::shared_ptr<const Data> data_;
};

}  // namespace fms

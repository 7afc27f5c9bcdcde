#pragma once

// Internal. Not installed.

#include <functional>
#include <memory>

#include "compiler/llvm_library.h"
#include "runtime/device.h"
#include "runtime/driver.h"

namespace fms::cpu {

// The driver of the CPU: this process's own threads and memory behind the functions of CUDA's. What
// is asked of it is done when the call returns. What it can't do (graph captures, clusters, tensor
// maps) is CUDA_ERROR_NOT_SUPPORTED. A kernel that fails is reported by its launch, and leaves
// nothing behind. Works after a fork().
class CpuDriver final : public Driver {
 public:
  explicit CpuDriver(std::shared_ptr<const LlvmLibrary> llvm);

  bool is_cpu() const override { return true; }
  bool usable() const override { return true; }
  Error error(CUresult code, std::string_view call, std::string_view what) const override;
  Result<CUlibrary> load(const ObjectCode& object, std::string_view what) const override;

 private:
  std::shared_ptr<const LlvmLibrary> llvm_;
};

// What a thread has current that works on the CPU device: there is but one.
void* context();

// The device that is open, or the one that `make` makes for the process's driver. kUnavailable if
// there is no LLVM library.
Result<std::shared_ptr<Device>> open_device(
    const std::function<std::shared_ptr<Device>(std::shared_ptr<const Driver>)>& make);

// From now on Device::cpu() uses this library; null: looks for it again. Devices that are open keep
// the one that they have.
void set_llvm_for_testing(std::shared_ptr<const LlvmLibrary> llvm);

}  // namespace fms::cpu

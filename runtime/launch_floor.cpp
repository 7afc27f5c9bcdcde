#include "runtime/launch_floor.h"

#include <chrono>
#include <vector>

#include "runtime/device_scope.h"
#include "runtime/driver.h"

namespace fms {

Result<double> seconds_of_raw_launches(StreamView stream, const LaunchConfig& config,
                                       const Kernel& kernel, std::span<const Argument> arguments,
                                       int count) {
  const Device& device = *kernel.device();
  FMS_TRY(const DeviceScope scope, DeviceScope::enter(device));
  CUlaunchConfig how{};
  how.gridDimX = config.grid.x;
  how.gridDimY = config.grid.y;
  how.gridDimZ = config.grid.z;
  how.blockDimX = config.block.x;
  how.blockDimY = config.block.y;
  how.blockDimZ = config.block.z;
  how.sharedMemBytes = config.dynamic_smem_bytes;
  how.hStream = static_cast<CUstream>(stream.handle);
  std::vector<void*> pointers;
  for (const Argument& each : arguments) pointers.push_back(const_cast<void*>(each.data));
  auto* const function = static_cast<CUfunction>(kernel.function());
  const auto launch = device.driver().call.cuLaunchKernelEx;

  CUresult worst = CUDA_SUCCESS;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < count; ++i) {
    const CUresult code = launch(&how, function, pointers.data(), nullptr);
    if (code != CUDA_SUCCESS) [[unlikely]] {
      worst = code;
    }
  }
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  FMS_TRY_VOID(device.driver().check(worst, "cuLaunchKernelEx", [&] {
    return "can't time launches of " + kernel.name() + " on " + describe(device);
  }));
  return taken.count();
}

}  // namespace fms

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "compiler/result.h"
#include "compiler/target.h"

namespace fms {

class Driver;  // runtime/driver.h; not a public header

// Facts about a device, used to choose kernels and never to compile them.
struct DeviceInfo {
  int ordinal = 0;  // -1: the CPU
  std::string name;
  int compute_capability = 0;  // 90 for 9.0; 0: the CPU
  int sm_count = 0;            // of the CPU: its cores that this process may use
  int max_threads_per_sm = 0;
  int registers_per_sm = 0;
  int smem_per_sm_bytes = 0;
  int max_smem_per_block_bytes = 0;  // with opt-in
  int l2_bytes = 0;
  std::int64_t memory_bytes = 0;
  int driver_version = 0;  // 13000 for 13.0
};

// One CUDA device, with its primary context retained as long as the object lives; or the CPU.
//
// On the CPU work is done in the order of the calls, in the calling thread and those of a pool, and
// is complete when the call returns. A kernel that fails leaves the device usable. Kernels need the
// LLVM library, libfms_llvm.so. A child of fork() may go on using the device.
//
// Held by shared_ptr: libraries, streams and memory keep their device alive (law 6). Thread-safe.
class Device : public std::enable_shared_from_this<Device> {
 public:
  // One object per ordinal and process: opening twice gives the same device while it lives.
  // kUnavailable: no driver (the message says what was tried), or no such device.
  static Result<std::shared_ptr<Device>> open(int ordinal = 0);
  static Result<int> count();  // 0 with a driver and no device; kUnavailable with no driver
  // The machine's processor as a device; also one object per process. kUnavailable: no LLVM
  // library.
  static Result<std::shared_ptr<Device>> cpu();
  ~Device();

  bool is_cpu() const { return is_cpu_; }
  const DeviceInfo& info() const { return info_; }
  // What Jit compiles for here by default: arch-specific from sm_90 on ("cuda:sm_90a"), and
  // host_target() on the CPU.
  Target target() const;

  Result<void> synchronize() const;

  const Driver& driver() const { return *driver_; }
  void* context() const { return context_; }  // CUcontext

 private:
  Device(std::shared_ptr<const Driver> driver, int handle, void* context, DeviceInfo info);

  std::shared_ptr<const Driver> driver_;
  bool is_cpu_;
  int handle_;     // CUdevice
  void* context_;  // CUcontext
  DeviceInfo info_;
};

}  // namespace fms

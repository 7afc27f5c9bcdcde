#pragma once

// Internal. Not installed.

#include "runtime/device.h"

namespace fms::cpu {

// Cores that this process may use: those of its affinity mask, less what a cgroup takes away. At
// least 1; found out once.
unsigned usable_cores();

// The machine as a device; found out once, when the CPU device is first opened, for which forks
// wait.
const DeviceInfo& host_info();

}  // namespace fms::cpu

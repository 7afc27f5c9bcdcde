#pragma once

#include <span>

#include "runtime/launch.h"

namespace fms {

// Seconds that the driver's own function takes for `count` launches of a kernel, one behind the
// other, with the addresses of the arguments laid out before: what a launch costs at the least, and
// what that of launch() is measured against. Waits for nothing; a queue that is full makes the
// driver wait, and 256 launches fit.
//
// Thread-safe. Nothing is checked. REQUIRES: launch() takes the same, which is no cluster.
Result<double> seconds_of_raw_launches(StreamView stream, const LaunchConfig& config,
                                       const Kernel& kernel, std::span<const Argument> arguments,
                                       int count);

}  // namespace fms

#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include "compiler/result.h"
#include "runtime/event.h"
#include "runtime/stream.h"
#include "tools/fms/timing.h"

namespace fms::program {

// Milliseconds that `work` takes on the stream, by events: the median of `repeats`, each of which
// waits for the one before. What `before` puts on the stream isn't timed, and hides the host's time
// of starting the work if it takes longer.
template <typename Work, typename Before>
Result<double> median_gpu_ms(const std::shared_ptr<Device>& device, StreamView stream, int repeats,
                             const Work& work, const Before& before) {
  FMS_TRY(Event start, Event::create(device));
  FMS_TRY(Event end, Event::create(device));
  std::vector<double> times;
  for (int i = 0; i < std::max(repeats, 1); ++i) {
    FMS_TRY_VOID(before());
    FMS_TRY_VOID(start.record(stream));
    FMS_TRY_VOID(work());
    FMS_TRY_VOID(end.record(stream));
    FMS_TRY_VOID(end.synchronize());
    FMS_TRY(const float ms, elapsed_ms(start, end));
    times.push_back(ms);
  }
  return median(std::move(times));
}

template <typename Work>
Result<double> median_gpu_ms(const std::shared_ptr<Device>& device, StreamView stream, int repeats,
                             const Work& work) {
  return median_gpu_ms(device, stream, repeats, work, [] { return Result<void>(); });
}

}  // namespace fms::program

#include <fmt/format.h>

#include "runtime/launch.h"
#include "runtime/launch_floor.h"
#include "tools/fms/bench.h"
#include "tools/fms/timing.h"

namespace fms::program {
namespace {

constexpr int kBatch = 100;
constexpr int kGetBatch = 1000;

struct LaunchArguments {
  float *a = nullptr, *b = nullptr;
  const float *c = nullptr, *d = nullptr;
  int n = 1, m = 2;
  float x = 1, y = 2;
};

Result<void> launch_ours(StreamView stream, const Kernel& kernel, const LaunchArguments& args) {
  const LaunchConfig config{.block = {.x = 32}};
  for (int i = 0; i < kBatch; ++i) {
    FMS_TRY_VOID(launch(stream, config, kernel, args.a, args.b, args.c, args.d, args.n, args.m,
                        args.x, args.y));
  }
  return {};
}

Result<double> raw_seconds(StreamView stream, const Kernel& kernel, LaunchArguments args) {
  const Argument list[] = {{&args.a, 8}, {&args.b, 8}, {&args.c, 8}, {&args.d, 8},
                           {&args.n, 4}, {&args.m, 4}, {&args.x, 4}, {&args.y, 4}};
  return seconds_of_raw_launches(stream, {.block = {.x = 32}}, kernel, list, kBatch);
}

// Microseconds a launch: medians of batches that take turns, each starting on an idle stream, so
// that the queue of the device never fills.
struct LaunchTimes {
  double ours = 0, raw = 0;
};

Result<LaunchTimes> time_launches(const BenchSetup& setup, const Kernel& kernel) {
  FMS_TRY(const Stream stream, Stream::create(setup.device));
  std::vector<double> ours, raw;
  const int rounds = setup.quick ? 20 : 1000;
  for (int round = -10; round < rounds; ++round) {
    double times[2] = {};
    // Which goes first changes from round to round: neither always finds the caches warm.
    for (int turn = 0; turn < 2; ++turn) {
      const int which = (turn + round) & 1;
      double seconds = 0;
      if (which == 0) {
        const auto start = Clock::now();
        FMS_TRY_VOID(launch_ours(stream, kernel, {}));
        seconds = seconds_since(start);
      } else {
        FMS_TRY(seconds, raw_seconds(stream, kernel, {}));
      }
      times[which] = seconds * 1e6 / kBatch;
      FMS_TRY_VOID(stream.synchronize());
    }
    if (round < 0) continue;
    ours.push_back(times[0]);
    raw.push_back(times[1]);
  }
  return LaunchTimes{median(std::move(ours)), median(std::move(raw))};
}

Result<double> time_get(const BenchSetup& setup, Jit& jit, const Specialization& specialization) {
  std::vector<double> times;
  const int rounds = setup.quick ? 5 : 200;
  for (int round = 0; round < rounds; ++round) {
    const auto start = Clock::now();
    for (int i = 0; i < kGetBatch; ++i) {
      FMS_TRY([[maybe_unused]] const Kernel kernel, jit.get(specialization, setup.device));
    }
    times.push_back(seconds_since(start) * 1e6 / kGetBatch);
  }
  return median(std::move(times));
}

constexpr const char* kLaunchRow = "launch of a prepared kernel, 8 arguments";
constexpr const char* kGetRow = "Jit::get of a loaded kernel";

}  // namespace

Result<std::vector<BenchRow>> bench_launch(const BenchSetup& setup) {
  if (!setup.device) {
    return std::vector{skipped_row(kLaunchRow, "needs a GPU"), skipped_row(kGetRow, "needs a GPU")};
  }
  FMS_TRY(Jit jit, Jit::create(setup.with_store("launch")));
  FMS_TRY(auto kernel_template, KernelTemplate::parse("bench_launch.cu", kLaunchTemplate));
  FMS_TRY(const Specialization specialization, Specialization::parse(kernel_template, {}));
  FMS_TRY(const Kernel kernel, jit.get(specialization, setup.device));
  FMS_TRY(const LaunchTimes times, time_launches(setup, kernel));
  FMS_TRY(const double get_us, time_get(setup, jit, specialization));
  return std::vector<BenchRow>{
      {.what = kLaunchRow,
       .unit = "us",
       .measured = times.ours,
       .floor = times.raw,
       .against = BenchRow::Against::kRatio,
       .limit = 1.05,
       .note = "floor: raw cuLaunchKernelEx; medians of batches of 100, taking turns"},
      {.what = kGetRow,
       .unit = "us",
       .measured = get_us,
       .limit = 0.5,
       .note = "median of batches of 1000"}};
}

}  // namespace fms::program

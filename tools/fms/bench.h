#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "compiler/result.h"
#include "runtime/device.h"
#include "runtime/jit.h"
#include "tools/fms/command.h"

namespace fms::program {

// One line of the speed table: what was measured, beside the floor that was measured with it.
struct BenchRow {
  std::string what;
  std::string unit;
  double measured = 0;
  std::optional<double> floor;
  // What is compared with the limit: measured / floor, measured - floor, or measured itself.
  enum class Against { kRatio, kDifference, kValue } against = Against::kValue;
  std::optional<double> limit;  // none: for information
  std::string note;             // how it was measured, or why it wasn't
  bool skipped = false;

  double compared() const;
  bool ok() const;  // within its limit, or has none, or was skipped
};

// A folder of its own beside the store, removed at the end.
class ScratchFolder {
 public:
  static Result<ScratchFolder> make(const std::filesystem::path& parent);
  ~ScratchFolder();
  ScratchFolder(ScratchFolder&& other) noexcept;
  ScratchFolder& operator=(ScratchFolder&&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  explicit ScratchFolder(std::filesystem::path path) : path_(std::move(path)) {}

  std::filesystem::path path_;
};

// What all measurements share.
struct BenchSetup {
  std::filesystem::path scratch;   // for stores of their own
  JitOptions options;              // the environment's; cache_dirs is one folder in the scratch
  std::shared_ptr<Device> device;  // null: none here
  Target target;
  bool quick = false;  // fewer repeats, for tests

  // Options with a store that nothing else uses.
  JitOptions with_store(const std::string& name) const;
};

// Each measures one line, or several that belong together.
Result<std::vector<BenchRow>> bench_launch(const BenchSetup& setup);
Result<std::vector<BenchRow>> bench_store(const BenchSetup& setup);
Result<std::vector<BenchRow>> bench_compile(const BenchSetup& setup);
Result<std::vector<BenchRow>> bench_processes(const BenchSetup& setup);
Result<std::vector<BenchRow>> bench_cpu(const BenchSetup& setup);

// What bench_cpu() has a new process measure: {"open_ms": ..., "load_ms": ...}.
Result<nlohmann::json> measure_cpu_child(JitOptions options);

// The line of something that can't be measured here.
BenchRow skipped_row(std::string what, std::string why);

// Hidden: the new process that bench_store() measures.
void add_bench_child(CLI::App& program, int& exit_code);

// An empty kernel of eight arguments, and one of about 100 KB of code.
inline constexpr const char* kLaunchTemplate = R"(#include "fms/parameter.cuh"
FMS_KERNEL(bench_launch, "takes eight arguments and does nothing");
extern "C" __global__ void bench_launch(float*, float*, const float*, const float*, int, int, float,
                                        float) {}
)";
inline constexpr const char* kLargeTemplate = R"(#include "fms/parameter.cuh"
FMS_KERNEL(bench_large, "one chain of multiplications and additions, unrolled");
FMS_INT(kSteps, 6300, "length of the chain; 16 bytes of code each", range(1, 20000));
FMS_INT(kSeed, 0, "makes a kernel of its own", range(0, 1000000000));
extern "C" __global__ void bench_large(float* out, float a) {
  float x = a + kSeed;
#pragma unroll
  for (int i = 0; i < kSteps; ++i) x = x * a + static_cast<float>(i);
  out[threadIdx.x] = x;
}
)";

}  // namespace fms::program

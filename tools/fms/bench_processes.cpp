#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "runtime/manifest.h"
#include "runtime/ops/attention.h"
#include "tools/fms/bench.h"
#include "tools/fms/file.h"
#include "tools/fms/manifest_plan.h"
#include "tools/fms/process.h"
#include "tools/fms/timing.h"

namespace fms::program {
namespace {

constexpr const char* kWarmRow = "fms warm -j2 on two cores, 64 kernels";
constexpr const char* kOneCompileRow = "16 processes asking for the same new kernel: compiles";

// The first `count` kernels of attention over types, widths and lengths, as a manifest.
Result<std::string> attention_manifest(const Target& target, std::size_t count) {
  Manifest manifest;
  for (int seq = 512;; seq += 512) {
    for (const DType dtype : {DType::kBFloat16, DType::kFloat16, DType::kFloat32}) {
      for (const int head_dim : {64, 128}) {
        const attention::Problem problem{.dtype = dtype,
                                         .batch = 1,
                                         .heads = 8,
                                         .kv_heads = 8,
                                         .seq_q = seq,
                                         .seq_k = seq,
                                         .head_dim = head_dim};
        manifest.entries.push_back(attention::to_manifest_entry(problem));
        FMS_TRY(const auto kernels, plan_kernels({manifest, {}}, {target}));
        if (kernels.size() < count) continue;
        std::string text;
        for (const ManifestEntry& entry : manifest.entries) text += to_json_line(entry) + '\n';
        return text;
      }
    }
    if (seq > 512 * 1024) return fail(ErrorCode::kInternal, "attention has too few kernels");
  }
}

struct TimedWarm {
  double seconds = 0;
  std::int64_t compiled = 0;
};

Result<TimedWarm> timed_warm(const BenchSetup& setup, const std::filesystem::path& manifest,
                             int jobs) {
  const auto folder = setup.scratch / fmt::format("warm-j{}", jobs);
  const auto start = Clock::now();
  FMS_TRY(ChildProcess child,
          ChildProcess::start({own_path(), "warm", manifest.string(), "--cache-dir",
                               folder.string(), "--target", setup.target.to_string(), "-j",
                               std::to_string(jobs), "--json"}));
  child.close_input();
  const std::string text = child.read_output();
  const ExitStatus status = child.wait();
  const double seconds = seconds_since(start);
  const auto answer = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!status.ok() || !answer.is_object()) {
    return fail(ErrorCode::kInternal, fmt::format("can't measure fms warm -j{}: it ended with {}",
                                                  jobs, to_string(status)));
  }
  return TimedWarm{seconds, answer.value("compiled", std::int64_t{0})};
}

Result<BenchRow> bench_warm(const BenchSetup& setup) {
  FMS_TRY(const std::string text, attention_manifest(setup.target, setup.quick ? 4 : 64));
  const auto manifest = setup.scratch / "warm.jsonl";
  FMS_TRY_VOID(write_file(manifest, text));
  FMS_TRY(const TimedWarm two, timed_warm(setup, manifest, 2));
  FMS_TRY(const TimedWarm one, timed_warm(setup, manifest, 1));
  const unsigned cores = std::thread::hardware_concurrency();
  return BenchRow{.what = kWarmRow,
                  .unit = "s",
                  .measured = two.seconds,
                  .floor = one.seconds,
                  .against = BenchRow::Against::kRatio,
                  .limit = 0.6,
                  .note = fmt::format("floor: -j1; {} kernels of attention, {} cores here",
                                      one.compiled, cores)};
}

Result<BenchRow> bench_one_compile(const BenchSetup& setup) {
  const auto folder = setup.scratch / "one-compile";
  const auto file = setup.scratch / "bench_large.cu";
  FMS_TRY_VOID(write_file(file, kLargeTemplate));
  std::vector<ChildProcess> children;
  for (int i = 0; i < 16; ++i) {
    FMS_TRY(ChildProcess child,
            ChildProcess::start({own_path(), "compile", file.string(), "-p", "kSteps=500",
                                 "--target", setup.target.to_string(), "--emit", "resources",
                                 "--cache-dir", folder.string()}));
    child.close_input();
    children.push_back(std::move(child));
  }
  for (ChildProcess& child : children) {
    (void)child.read_output();
    const ExitStatus status = child.wait();
    if (!status.ok()) {
      return fail(ErrorCode::kInternal,
                  fmt::format("can't measure 16 processes: one ended with {}", to_string(status)));
    }
  }
  FMS_TRY(const auto store, KernelStore::open(folder));
  FMS_TRY(const StoreStats stats, store->stats());
  return BenchRow{.what = kOneCompileRow,
                  .unit = "",
                  .measured = static_cast<double>(stats.compiles),
                  .limit = 1,
                  .note = "counted by the store"};
}

}  // namespace

Result<std::vector<BenchRow>> bench_processes(const BenchSetup& setup) {
  FMS_TRY(BenchRow warm, bench_warm(setup));
  FMS_TRY(BenchRow one_compile, bench_one_compile(setup));
  return std::vector{std::move(warm), std::move(one_compile)};
}

}  // namespace fms::program

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "compiler/llvm_library.h"
#include "tools/fms/command.h"
#include "tools/fms/demo_kernels.h"
#include "tools/fms/manifest_plan.h"
#include "tools/fms/table.h"
#include "tools/fms/timing.h"
#include "tools/fms/warm.h"

namespace fms::program {
namespace {

// Lines of each included manifest that the demo warms where nothing can be launched.
constexpr std::size_t kLinesOfManifest = 2;

struct DemoCommand {
  CommonOptions common;
  int jobs = 0;
};

// A store of the demo's own beside the user's, empty at the start: the first round compiles.
Result<JitOptions> demo_options(const CommonOptions& common) {
  FMS_TRY(JitOptions options, jit_options(common));
  if (options.cache_dirs.empty()) {
    return fail(ErrorCode::kInvalidArgument, "there is no folder for a store; give --cache-dir");
  }
  std::error_code error;
  const auto parent = options.cache_dirs.front();
  if (std::filesystem::create_directories(parent, error)) {
    std::filesystem::permissions(parent, std::filesystem::perms::owner_all, error);
  }
  options.cache_dirs = {parent / "demo"};
  options.policy = Policy::kExact;
  options.offline = false;
  options.target.reset();
  options.sanitize.clear();
  FMS_TRY(const auto store, KernelStore::open(options.cache_dirs.front()));
  FMS_TRY([[maybe_unused]] const std::int64_t removed, store->clear());
  return options;
}

Result<std::vector<std::string>> demo_row(Jit& jit, const std::shared_ptr<Device>& device,
                                          const DemoKernel& kernel, bool& all_ok) {
  const auto start = Clock::now();
  FMS_TRY(const Built built, jit.build(kernel.specialization, device->target()));
  const double build_us = seconds_since(start) * 1e6;
  const bool compiled = built.origin == Origin::kCompiled;
  FMS_TRY(const bool stored, jit.has(kernel.specialization, device->target()));
  const double load_before = jit.stats().load_us;
  FMS_TRY(const Kernel loaded, jit.get(kernel.specialization, device));
  const double load_us = jit.stats().load_us - load_before;
  FMS_TRY(const DemoCheck check, kernel.run(jit, loaded));
  const bool ok = check.worst <= 1;
  all_ok = all_ok && ok;
  return std::vector<std::string>{
      kernel.what,
      compiled ? fmt::format("{:.0f} ms", built.object.compile_ms)
               : fmt::format("no, read in {:.0f} us", build_us),
      stored ? format_bytes(static_cast<double>(built.object.bytes.size())) : "no",
      fmt::format("{:.0f} us", load_us),
      "yes",
      check.max_error == 0 ? std::string("exact")
                           : fmt::format("{}: error {:.1e}, {:.2f} of its bound",
                                         ok ? "ok" : "WRONG", check.max_error, check.worst)};
}

// Everything once, by a Jit that has loaded nothing yet.
Result<bool> demo_round(const JitOptions& options, const std::shared_ptr<Device>& device,
                        const std::vector<DemoKernel>& kernels) {
  FMS_TRY(Jit jit, Jit::create(options));
  Table table({"kernel", "compiled", "stored", "loaded", "launched", "against fp64"});
  bool all_ok = true;
  for (const DemoKernel& kernel : kernels) {
    FMS_TRY(auto row, demo_row(jit, device, kernel, all_ok));
    table.add(std::move(row));
  }
  const JitStats stats = jit.stats();
  fmt::print("{}{} compiled, {} from the store\n\n", table.text(), stats.compiles,
             stats.store_hits);
  return all_ok;
}

Result<int> demo_on_device(const JitOptions& options, const std::shared_ptr<Device>& device) {
  const DeviceInfo& info = device->info();
  const Target target = device->target();
  fmt::print("On {} ({}, {} {}), store {}\n\n", info.name, target.to_string(), info.sm_count,
             device->is_cpu() ? "cores" : "SMs", options.cache_dirs.front().string());
  FMS_TRY(const auto kernels, demo_kernels(target));
  fmt::print(
      "First round: each kernel is specialised, compiled, stored, loaded, launched and "
      "checked\n\n");
  FMS_TRY(const bool first_ok, demo_round(options, device, kernels));
  fmt::print("Second round: a new Jit on the same store\n\n");
  FMS_TRY(const bool second_ok, demo_round(options, device, kernels));
  if (!first_ok || !second_ok) {
    fmt::print(stderr, "fms: a kernel is over its bound\n");
    return kFalse;
  }
  return kOk;
}

// The examples, and the first lines of each included manifest.
Result<std::vector<PlannedKernel>> kernels_to_warm() {
  std::vector<Target> targets;
  for (const char* name : {"sm_80", "sm_90a"}) {
    FMS_TRY(Target target, Target::parse(name));
    targets.push_back(std::move(target));
  }
  LocatedManifest all;
  for (const char* name : {"saxpy", "block_reduce", "transpose", "gemm"}) {
    all.manifest.entries.push_back({.template_name = name});
  }
  for (const std::string& name : included_manifest_names()) {
    FMS_TRY(const LocatedManifest included, load_manifest(name));
    const auto& entries = included.manifest.entries;
    const std::size_t lines = std::min(entries.size(), kLinesOfManifest);
    all.manifest.entries.insert(all.manifest.entries.end(), entries.begin(),
                                entries.begin() + static_cast<std::ptrdiff_t>(lines));
  }
  return plan_kernels(all, targets);
}

std::string shortened(std::string text) {
  constexpr std::size_t kColumns = 64;
  if (text.size() > kColumns) text = text.substr(0, kColumns - 3) + "...";
  return text;
}

Result<int> demo_without_device(const DemoCommand& command, const JitOptions& options,
                                const std::string& no_gpu, const std::string& no_cpu) {
  fmt::print(
      "No GPU here: {}\nNor can the CPU run kernels: {}\nSo they are compiled for two GPUs, and "
      "nothing is launched. Store {}\n\n",
      no_gpu, no_cpu, options.cache_dirs.front().string());
  FMS_TRY(const std::vector<PlannedKernel> kernels, kernels_to_warm());
  WarmReport report;
  {
    FMS_TRY(Jit jit, Jit::create(options));
    FMS_TRY(report, warm(jit, command.common, kernels, choose_jobs(command.jobs, options)));
  }
  for (const WarmFailure& failure : report.failures) {
    fmt::print(stderr, "fms: can't compile {} for {}: {}\n", failure.specialization, failure.target,
               failure.message);
  }
  // A Jit that may not compile: what it has, it has from the store.
  JitOptions offline = options;
  offline.offline = true;
  FMS_TRY(Jit jit, Jit::create(offline));
  Table table({"specialised", "target", "compiled", "stored", "read and checked"});
  std::size_t there = 0;
  for (const PlannedKernel& kernel : kernels) {
    const auto start = Clock::now();
    const auto built = jit.build(kernel.specialization, kernel.target);
    const double us = seconds_since(start) * 1e6;
    there += built.has_value();
    table.add({shortened(kernel.specialization.to_string()), kernel.target.to_string(),
               built ? fmt::format("{:.0f} ms", built->object.compile_ms) : "failed",
               built ? format_bytes(static_cast<double>(built->object.bytes.size())) : "no",
               built ? fmt::format("{:.0f} us", us) : "-"});
  }
  fmt::print(
      "{}\n{} compiled in {:.1f} s, {} of {} read back from the store\n"
      "Nothing was launched: there is no GPU here, and no LLVM library for the CPU\n",
      table.text(), report.compiled, report.seconds, there, kernels.size());
  return report.failures.empty() && there == kernels.size() ? kOk : kFalse;
}

Result<int> demo(const DemoCommand& command) {
  FMS_TRY(const JitOptions options, demo_options(command.common));
  const auto device = Device::open();
  if (device) return demo_on_device(options, *device);
  if (device.error().code != ErrorCode::kUnavailable) return std::unexpected(device.error());
  if (!options.llvm.empty()) prefer_llvm(options.llvm);
  const auto cpu = Device::cpu();
  if (!cpu) {
    return demo_without_device(command, options, device.error().message, cpu.error().message);
  }
  fmt::print("No GPU here: {}\nSo the kernels run on the CPU.\n\n", device.error().message);
  return demo_on_device(options, *cpu);
}

}  // namespace

void add_demo(CLI::App& program, int& exit_code) {
  auto command = std::make_shared<DemoCommand>();
  CLI::App* app = program.add_subcommand(
      "demo", "Compile, store, load, launch and check kernels, then the same from the store");
  app->footer(
      "Without a GPU: on the CPU; without the LLVM library either: compile for sm_80 and sm_90a, "
      "and\n"
      "read it all back. The store is the folder demo in the folder of the usual one; it is "
      "emptied\n"
      "first.\n\n"
      "Example:\n  fms demo");
  add_common_options(*app, command->common, Json::kNo);
  app->add_option("-j,--jobs", command->jobs, "worker processes, where nothing can be launched")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  app->callback([command, &exit_code] {
    const Result<int> done = demo(*command);
    exit_code = done ? *done : report(command->common, "can't show the demo", done.error());
  });
}

}  // namespace fms::program

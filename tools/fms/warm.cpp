#include "tools/fms/warm.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "templates/embedded.h"
#include "tools/fms/interrupt.h"
#include "tools/fms/process.h"
#include "tools/fms/progress.h"
#include "tools/fms/worker_pool.h"

namespace fms::program {
namespace {

using nlohmann::json;

// Reads a worker's answer into the report. True if it asks for a line to be shown.
void note_answer(const PlannedKernel& kernel, const WorkOutcome& outcome, WarmReport& report) {
  WarmFailure failure{.specialization = kernel.specialization.to_string(),
                      .target = kernel.target.to_string()};
  if (outcome.answer.empty()) {
    failure.message = fmt::format("the worker died of it {} times, the last by {}",
                                  outcome.attempts, outcome.death);
    report.failures.push_back(std::move(failure));
    return;
  }
  const json answer = json::parse(outcome.answer, nullptr, /*allow_exceptions=*/false);
  const std::string origin = answer.is_object() ? answer.value("origin", "") : "";
  if (origin == "compiled") {
    ++report.compiled;
  } else if (!origin.empty()) {
    ++report.already_there;
  } else {
    failure.message = answer.is_object() ? answer.value("message", "") : outcome.answer;
    failure.detail = answer.is_object() ? answer.value("detail", "") : "";
    report.failures.push_back(std::move(failure));
  }
}

struct WarmCommand {
  CommonOptions common;
  std::string manifest;
  std::vector<std::string> targets;
  int jobs = 0;
  bool list = false;
};

int list_manifests(const CommonOptions& common) {
  json list = json::array();
  for (const EmbeddedFile& file : embedded_manifests()) {
    const auto manifest = Manifest::parse(file.text);
    const std::size_t entries = manifest ? manifest->entries.size() : 0;
    list.push_back({{"file", file.name}, {"entries", entries}});
  }
  const std::vector<std::string> names = included_manifest_names();
  for (std::size_t i = 0; i < names.size(); ++i) {
    list[i]["name"] = names[i];
    if (!common.json) {
      fmt::print("{:<24} {:>4} lines\n", names[i], list[i]["entries"].get<std::size_t>());
    }
  }
  if (common.json) fmt::print("{}\n", list.dump(2));
  return kOk;
}

int print_report(const CommonOptions& common, const WarmReport& report) {
  json failures = json::array();
  for (const WarmFailure& failure : report.failures) {
    fmt::print(stderr, "fms: can't compile {} for {}: {}\n", failure.specialization, failure.target,
               failure.message);
    if (common.verbose && !failure.detail.empty()) fmt::print(stderr, "{}\n", failure.detail);
    failures.push_back({{"specialization", failure.specialization},
                        {"target", failure.target},
                        {"message", failure.message},
                        {"detail", failure.detail}});
  }
  if (common.json) {
    const json object{{"kernels", report.kernels},
                      {"compiled", report.compiled},
                      {"already_there", report.already_there},
                      {"failed", report.failures.size()},
                      {"seconds", report.seconds},
                      {"failures", std::move(failures)}};
    fmt::print("{}\n", object.dump(2, ' ', false, json::error_handler_t::replace));
  } else {
    fmt::print("{} compiled, {} already there, {} failed, {:.1f} s\n", report.compiled,
               report.already_there, report.failures.size(), report.seconds);
  }
  return report.failures.empty() ? kOk : kFalse;
}

Result<WarmReport> warm_manifest(const WarmCommand& command) {
  FMS_TRY(Jit jit, create_jit(command.common));
  FMS_TRY(const LocatedManifest located, load_manifest(command.manifest));
  FMS_TRY(const std::vector<Target> targets, choose_targets(command.targets, jit.options()));
  FMS_TRY(const std::vector<PlannedKernel> kernels, plan_kernels(located, targets, &jit));
  if (jit.store() == nullptr) {
    return fail(ErrorCode::kIo,
                "there is no store to keep kernels in; run fms doctor, or give --cache-dir");
  }
  return warm(jit, command.common, kernels, choose_jobs(command.jobs, jit.options()));
}

}  // namespace

std::vector<std::string> warm_worker_command(const JitOptions& options,
                                             const CommonOptions& common) {
  std::vector<std::string> command{own_path(), "warm-worker"};
  for (const auto& folder : options.cache_dirs) {
    command.insert(command.end(), {"--cache-dir", folder.string()});
  }
  if (!common.log_level.empty()) command.insert(command.end(), {"--log", common.log_level});
  return command;
}

int choose_jobs(int asked, const JitOptions& options) {
  if (asked > 0) return asked;
  if (options.max_jobs > 0) return options.max_jobs;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

Result<WarmReport> warm(Jit& jit, const CommonOptions& common,
                        const std::vector<PlannedKernel>& kernels, int jobs) {
  const auto started = std::chrono::steady_clock::now();
  const InterruptScope interrupt;
  WarmReport report{.kernels = static_cast<std::int64_t>(kernels.size())};
  std::vector<std::string> items;
  std::vector<std::size_t> kernel_of;  // item -> kernel
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    FMS_TRY(const bool there, jit.has(kernels[i].specialization, kernels[i].target));
    if (there) {
      ++report.already_there;
      continue;
    }
    items.push_back(to_work_item(kernels[i]));
    kernel_of.push_back(i);
  }
  Progress progress("warming", items.size());
  std::size_t done = 0;
  const auto name = [&](std::size_t item) {
    return kernels[kernel_of[item]].specialization.to_string();
  };
  const WorkEvents events{
      .started = [&](std::size_t item) { progress.update(done, name(item)); },
      .died =
          [&](std::size_t item, const std::string& death) {
            progress.say(fmt::format("fms: a worker died of {} ({}); trying it once more",
                                     name(item), death));
          },
      .done =
          [&](const WorkOutcome& outcome) {
            note_answer(kernels[kernel_of[outcome.item]], outcome, report);
            progress.update(++done, name(outcome.item));
          }};
  const WorkerPoolOptions options{.command = warm_worker_command(jit.options(), common),
                                  .workers = jobs,
                                  .attempts = 2,
                                  .cancelled = [&] { return interrupt.interrupted(); }};
  auto worked = work_through(options, items, events);
  if (!worked && worked.error().code == ErrorCode::kCancelled) {
    worked.error().message = fmt::format(
        "stopped with {} of {} kernels compiled, which are kept; the same command goes on", done,
        items.size());
  }
  FMS_TRY_VOID(std::move(worked));
  report.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return report;
}

void add_warm(CLI::App& program, int& exit_code) {
  auto command = std::make_shared<WarmCommand>();
  CLI::App* app = program.add_subcommand(
      "warm", "Compile all that a manifest asks for into the store; needs no GPU");
  app->footer(
      "A manifest is JSON lines; FMS_RECORD=FILE writes one from any run. A kernel that fails\n"
      "doesn't stop the others. Ctrl-C stops cleanly: what is compiled is kept.\n\n"
      "Example:\n  fms warm llama-3.1-8b --target sm_90a --target sm_80 -j 2\n  fms warm --list");
  add_common_options(*app, command->common, Json::kYes);
  auto* manifest =
      app->add_option("MANIFEST", command->manifest, "a file, or the name of an included manifest");
  app->add_option("--target", command->targets,
                  "compile for this target, such as sm_90a or cpu; may be repeated (default: "
                  "FMS_TARGET, or the device here)")
      ->type_name("T")
      ->allow_extra_args(false);
  app->add_option("-j,--jobs", command->jobs,
                  "worker processes (default: FMS_MAX_JOBS, or one for each core)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  app->add_flag("--list", command->list, "list the included manifests")->excludes(manifest);
  app->callback([command, &exit_code] {
    const CommonOptions& common = command->common;
    if (command->list) {
      exit_code = list_manifests(common);
      return;
    }
    const std::string what = fmt::format("can't warm {}", command->manifest);
    if (command->manifest.empty()) {
      exit_code = report(common, "can't warm",
                         {ErrorCode::kInvalidArgument, "give a MANIFEST, or --list", {}});
      return;
    }
    const auto result = warm_manifest(*command);
    exit_code = result ? print_report(common, *result) : report(common, what, result.error());
  });
}

}  // namespace fms::program

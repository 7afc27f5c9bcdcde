#include "tools/fms/tune.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "tools/fms/file.h"
#include "tools/fms/interrupt.h"
#include "tools/fms/manifest_plan.h"
#include "tools/fms/progress.h"
#include "tools/fms/warm.h"
#include "tools/fms/worker_pool.h"

namespace fms::program {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

// A folder that is gone with the object.
class ScratchFolder {
 public:
  static Result<ScratchFolder> make() {
    std::error_code error;
    const auto base = std::filesystem::temp_directory_path(error);
    std::string pattern = (base / "fms-tune-XXXXXX").string();
    if (error || ::mkdtemp(pattern.data()) == nullptr) {
      return fail(ErrorCode::kIo, fmt::format("can't make {}: set TMPDIR to a folder that can be "
                                              "written",
                                              pattern));
    }
    return ScratchFolder(pattern);
  }
  ScratchFolder(ScratchFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ScratchFolder& operator=(ScratchFolder&&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const { return path_; }

 private:
  explicit ScratchFolder(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

// Tunes one group after another. What losers were compiled to is thrown away with its folder.
class Tuner {
 public:
  static Result<Tuner> create(const TuneCommand& command) {
    FMS_TRY(JitOptions options, jit_options(command.common));
    FMS_TRY(auto device, choose_device(command.device, options));
    FMS_TRY(ScratchFolder scratch, ScratchFolder::make());
    JitOptions apart = options;
    apart.cache_dirs.insert(apart.cache_dirs.begin(), scratch.path());
    apart.record.clear();
    FMS_TRY(Jit jit, Jit::create(std::move(options)));
    FMS_TRY(Jit workshop, Jit::create(std::move(apart)));
    if (jit.store() == nullptr) {
      return fail(ErrorCode::kIo,
                  "there is no store to keep tunings in; run fms doctor, or give --cache-dir");
    }
    return Tuner(command, std::move(device), std::move(scratch), std::move(jit),
                 std::move(workshop));
  }

  const Device& device() const { return *device_; }
  attention::Room room() const { return attention::room_for(jit_, *device_); }
  bool is_tuned(const TuneGroup& group) const {
    return attention::tuning_of(jit_, *device_, group.problems.front()) != nullptr;
  }

  Result<attention::TuningReport> tune(const TuneGroup& group, std::size_t number,
                                       std::size_t groups) {
    Progress progress(fmt::format("tuning {} of {}", number, groups), 100);
    const CancelToken cancel;
    const auto tell = [&](std::string_view doing, std::size_t done, std::size_t total) {
      if (interrupt_->interrupted()) cancel.cancel();
      progress.update(total == 0 ? 0 : 100 * done / total,
                      fmt::format("{} {} of {}: {}", doing, done, total, group.tile_class));
    };
    const attention::TuneOptions options{
        .seconds = command_.seconds,
        .most = command_.most,
        .workshop = &workshop_,
        .compile =
            [&](std::span<const Specialization> specializations, Clock::time_point deadline) {
              return compile(specializations, deadline, tell);
            },
        .progress = tell,
        .cancel = cancel,
        .without = command_.without,
        .stuck = [&](std::string_view tile) { give_up(tile); }};
    auto report = attention::tune(jit_, device_, group.problems, options);
    if (!report && report.error().code == ErrorCode::kCancelled) {
      report.error().message = fmt::format(
          "stopped with {} of {} classes tuned, which are kept; the same command goes on",
          number - 1, groups);
    }
    return report;
  }

 private:
  Tuner(const TuneCommand& command, std::shared_ptr<Device> device, ScratchFolder scratch, Jit jit,
        Jit workshop)
      : command_(command),
        device_(std::move(device)),
        scratch_(std::move(scratch)),
        jit_(std::move(jit)),
        workshop_(std::move(workshop)),
        interrupt_(std::make_unique<InterruptScope>()) {}

  // A kernel that never ends: what is on the device can't be released, but by the system.
  [[noreturn]] void give_up(std::string_view tile) {
    std::error_code ignored;
    std::filesystem::remove_all(scratch_.path(), ignored);
    fmt::print(stderr,
               "\nfms: can't tune: a kernel doesn't end, and nothing but the end of this process "
               "stops it; what was tuned before is kept; go on with the same command and\n"
               "  --without '{}'\n",
               tile);
    std::fflush(stderr);
    std::_Exit(kFalse);
  }

  // In worker processes, since NVRTC compiles one program at a time in each.
  template <typename Tell>
  Result<void> compile(std::span<const Specialization> specializations, Clock::time_point deadline,
                       const Tell& tell) {
    const Target target = jit_.target_of(*device_);
    std::vector<std::string> items;
    for (const Specialization& each : specializations) {
      FMS_TRY(const bool there, workshop_.has(each, target));
      if (!there) items.push_back(to_work_item({each, target, each.kernel_template().name()}));
    }
    std::size_t done = 0;
    const WorkEvents events{
        .started = [&](std::size_t) { tell("compiling", done, items.size()); },
        .died = {},
        .done = [&](const WorkOutcome&) { tell("compiling", ++done, items.size()); }};
    const WorkerPoolOptions pool{
        .command = warm_worker_command(workshop_.options(), command_.common),
        .workers = choose_jobs(command_.jobs, jit_.options()),
        .attempts = 1,
        .cancelled = [&] { return interrupt_->interrupted() || Clock::now() >= deadline; }};
    const auto worked = work_through(pool, items, events);
    tell("compiling", done, items.size());
    // What wasn't reached is left out, unless the user has had enough.
    if (!worked && worked.error().code == ErrorCode::kCancelled && !interrupt_->interrupted()) {
      return {};
    }
    return worked;
  }

  const TuneCommand& command_;
  std::shared_ptr<Device> device_;
  ScratchFolder scratch_;
  Jit jit_, workshop_;
  std::unique_ptr<InterruptScope> interrupt_;
};

std::size_t count_of(const attention::TuningReport& report, attention::Outcome outcome) {
  return static_cast<std::size_t>(
      std::ranges::count(report.candidates, outcome, &attention::TunedCandidate::outcome));
}

void print_report(const attention::TuningReport& report) {
  using attention::Outcome;
  fmt::print("{}\n", report.tuning.problem);
  fmt::print("  {}\n", report.tuning.choice);
  const auto& own = report.candidates.front();
  const auto& best = report.candidates[report.best];
  for (std::size_t i = 0; i < report.problems.size(); ++i) {
    const attention::Problem& problem = report.problems[i];
    fmt::print("  B{} H{} Nq{} Nk{}: {:.4f} ms, the plan's own tile {:.4f}\n", problem.batch,
               problem.heads, problem.seq_q, problem.seq_k, best.ms[i], own.ms[i]);
  }
  fmt::print(
      "  {}; {} candidates: {} pruned, {} rejected, {} wrong, {} dropped, {} measured to the "
      "end, {} skipped; {:.1f} s\n",
      report.best == 0 ? std::string("the plan's own tile stays")
                       : fmt::format("{:.3f} times as fast", report.speedup),
      report.candidates.size(), count_of(report, Outcome::kPruned),
      count_of(report, Outcome::kRejected), count_of(report, Outcome::kWrong),
      count_of(report, Outcome::kDropped), count_of(report, Outcome::kMeasured),
      count_of(report, Outcome::kSkipped), report.seconds);
  std::fflush(stdout);
}

// A wrong variant is a fault of ours that no one else will tell the user of.
void tell_of_wrong(const attention::TuningReport& report) {
  for (const auto& each : report.candidates) {
    if (each.outcome != attention::Outcome::kWrong) continue;
    fmt::print(stderr, "fms: {} is wrong for {}, and can't win: {}\n", each.candidate.tile,
               report.tuning.problem, each.why);
  }
}

// Whether nothing can be tuned after it.
bool ends_all(const Error& error) {
  return error.code == ErrorCode::kCancelled || error.code == ErrorCode::kDriver ||
         error.code == ErrorCode::kUnavailable;
}

Result<int> tune_manifest(const TuneCommand& command) {
  FMS_TRY(Tuner tuner, Tuner::create(command));
  FMS_TRY(std::vector<TuneGroup> groups, tune_groups(command.manifest, tuner.room()));
  const std::size_t all = groups.size();
  if (!command.again) {
    std::erase_if(groups, [&](const TuneGroup& group) { return tuner.is_tuned(group); });
  }
  json reports = json::array(), failures = json::array();
  for (std::size_t i = 0; i < groups.size(); ++i) {
    auto tuned = tuner.tune(groups[i], i + 1, groups.size());
    if (!tuned && ends_all(tuned.error())) return std::unexpected(std::move(tuned).error());
    if (!tuned) {  // the others may do better
      fmt::print(stderr, "fms: can't tune {}: {}\n", groups[i].tile_class, tuned.error().message);
      failures.push_back(
          {{"class", groups[i].tile_class}, {"message", std::move(tuned).error().message}});
      continue;
    }
    const attention::TuningReport& report = *tuned;
    tell_of_wrong(report);
    if (!report.kept) {
      return fail(ErrorCode::kIo, "the tuning couldn't be kept; run fms doctor");
    }
    json object = {{"device", report.tuning.device},
                   {"class", report.tuning.problem},
                   {"tile", report.tuning.choice},
                   {"evidence", json::parse(report.tuning.evidence, nullptr, false)}};
    reports.push_back(std::move(object));
    if (!command.common.json) print_report(report);
  }
  if (command.common.json) {
    const json object{{"tuned", std::move(reports)},
                      {"already_tuned", all - groups.size()},
                      {"failures", failures}};
    fmt::print("{}\n", object.dump(2, ' ', false, json::error_handler_t::replace));
  } else {
    fmt::print("{} tuned, {} already tuned, on {}\n", groups.size() - failures.size(),
               all - groups.size(), tuned_device(tuner.device().info()));
  }
  return failures.empty() ? kOk : kFalse;
}

Result<int> run(const TuneCommand& command) {
  if (command.list) return tune_list(command);
  if (command.clear) return tune_clear(command);
  if (command.manifest.empty()) {
    return fail(ErrorCode::kInvalidArgument, "give a MANIFEST, --list or --clear");
  }
  if (command.candidates) return tune_candidates(command);
  return tune_manifest(command);
}

void add_options(CLI::App& app, TuneCommand& command) {
  app.add_option("MANIFEST", command.manifest,
                 "a file, the name of an included manifest, or one line of one");
  app.add_option("--device", command.device, kDeviceHelp)->type_name("DEVICE");
  app.add_option("--seconds", command.seconds, "at most, for each shape (default: 60)")
      ->type_name("S")
      ->check(CLI::Range(1.0, 86400.0));
  app.add_option("-j,--jobs", command.jobs,
                 "worker processes that compile (default: FMS_MAX_JOBS, or one for each core)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  app.add_option("--most", command.most,
                 "try only so many tiles, those that promise most (default: all)")
      ->type_name("N")
      ->check(CLI::Range(1, 100000));
  app.add_option("--without", command.without,
                 "don't try this tile, as --candidates and --list have it; may be repeated")
      ->type_name("TILE")
      ->allow_extra_args(false);
  app.add_flag("--again", command.again, "tune also what has been tuned");
  auto* candidates = app.add_flag("--candidates", command.candidates,
                                  "list the tiles, and why those that are pruned are; no more");
  app.add_option("--target", command.target,
                 "with --candidates: for this target, such as sm_90a, and no device")
      ->type_name("T")
      ->needs(candidates);
  auto* list = app.add_flag("--list", command.list, "list what has been tuned");
  auto* clear = app.add_flag("--clear", command.clear,
                             "forget what has been tuned; with --device on that one alone");
  app.add_flag("-y,--yes", command.yes, "with --clear: don't ask on a terminal")->needs(clear);
  list->excludes(clear)->excludes(candidates);
  clear->excludes(candidates);
}

}  // namespace

Result<std::vector<TuneGroup>> tune_groups(const std::string& manifest,
                                           const attention::Room& room) {
  std::vector<ManifestEntry> entries;
  if (manifest.starts_with('{')) {
    FMS_TRY(Manifest line, Manifest::parse(manifest));
    entries = std::move(line.entries);
  } else {
    FMS_TRY(LocatedManifest located, load_manifest(manifest));
    entries = std::move(located.manifest.entries);
  }
  std::vector<TuneGroup> groups;
  for (const ManifestEntry& entry : entries) {
    if (entry.op != "attention") continue;
    FMS_TRY(const attention::Problem problem, attention::from_manifest_entry(entry));
    if (problem.seq_q == 0 || problem.seq_k == 0) continue;
    if (problem.mods != nullptr || problem.block_table) continue;
    std::string tile_class = attention::tile_class(problem, room, attention::Access::kBulk);
    const auto same = std::ranges::find(groups, tile_class, &TuneGroup::tile_class);
    if (same == groups.end()) {
      groups.push_back({std::move(tile_class), {problem}});
    } else if (std::ranges::find(same->problems, problem) == same->problems.end()) {
      same->problems.push_back(problem);
    }
  }
  if (groups.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("there is no attention to tune in {}", manifest));
  }
  return groups;
}

void add_tune(CLI::App& program, int& exit_code) {
  auto command = std::make_shared<TuneCommand>();
  CLI::App* app = program.add_subcommand(
      "tune", "Measure which tiles are the fastest on this device, and keep them in the store");
  app->footer(
      "Every shape of attention in the manifest; those that differ in lengths, batch and heads\n"
      "alone share a tile, and are tuned together. Processes that start after it use what it\n"
      "found. Ctrl-C stops cleanly: what is tuned is kept.\n\n"
      "Example:\n  fms tune llama-3.1-8b\n"
      "  fms tune '{\"op\": \"attention\", \"dtype\": \"bf16\", \"batch\": 4, \"heads\": 8, "
      "\"seq_q\": 2048,\n            \"seq_k\": 2048, \"head_dim\": 64, \"causal\": true}'");
  add_common_options(*app, command->common, Json::kYes);
  add_options(*app, *command);
  app->callback([command, &exit_code] {
    const Result<int> done = run(*command);
    exit_code = done ? *done : report(command->common, "can't tune", done.error());
  });
}

}  // namespace fms::program

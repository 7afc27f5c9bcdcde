#include "runtime/builder.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <system_error>
#include <utility>

#include "runtime/log.h"

namespace fms {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// Locks of one store don't hold up those who use another.
Digest lock_key(const KernelStore& store, const Digest& key) {
  FieldHasher hasher;
  hasher.add("store", store.path().string());
  hasher.add("key", key.hex());
  return hasher.finish();
}

StoreRecord make_record(const Specialization& specialization, const CompileRequest& request) {
  return {.template_name = specialization.kernel_template().name(),
          .specialization = specialization.to_string(),
          .key_fields = explain_key(request)};
}

bool answers(const ObjectCode& object, const CompileRequest& request) {
  return object.target == request.target && object.format == request.format &&
         object.entry == request.entry;
}

void write_file(const fs::path& file, const void* data, std::size_t size) {
  std::ofstream out(file, std::ios::binary);
  if (!out.write(static_cast<const char*>(data), static_cast<std::streamsize>(size)).flush()) {
    log_warn(fmt::format("can't dump to {}", file.string()));
  }
}

}  // namespace

Builder::Builder(const JitOptions& options) : options_(options) {
  open_tiers();
  fs::path folder = options_.lock_dir;
  if (folder.empty() && store_) {
    folder = BuildLocks::default_folder(store_->path().parent_path() / "locks");
  }
  locks_ = std::make_unique<BuildLocks>(folder);
  compilers_ = std::make_unique<Compilers>(options_, store_.get());
}

void Builder::open_tiers() {
  const StoreOptions store_options{.max_bytes = options_.cache_max_bytes,
                                   .warn = [](std::string_view text) { log_warn(text); }};
  for (const fs::path& path : options_.cache_dirs) {
    std::error_code ignored;
    const bool is_bundle = fs::is_regular_file(path, ignored);
    if (!store_ && !is_bundle) {
      Result<std::unique_ptr<KernelStore>> opened = KernelStore::open(path, store_options);
      if (opened) {
        store_ = *std::move(opened);
        continue;
      }
      log_info(opened.error().message);
    }
    Result<std::unique_ptr<KernelStore>> opened = KernelStore::open_read_only(path, store_options);
    if (opened) {
      tiers_.push_back(*std::move(opened));
    } else {
      log_warn(opened.error().message);
    }
  }
  if (!store_ && !options_.offline) {
    log_warn(
        "no folder for compiled kernels can be written: they are kept in memory, and the next "
        "process compiles them again; set FMS_CACHE_DIR");
  }
}

std::vector<const KernelStore*> Builder::read_tiers() const {
  std::vector<const KernelStore*> tiers;
  for (const auto& tier : tiers_) tiers.push_back(tier.get());
  return tiers;
}

Result<std::shared_ptr<const Compiler>> Builder::compiler(Target::Kind kind) {
  return compilers_->open(kind);
}

// That of the compiler at hand; and, where nothing will be compiled, those of all compilers whose
// code the tiers hold (law 5).
Result<std::vector<std::string>> Builder::fingerprints(Target::Kind kind) {
  std::vector<std::string> fingerprints;
  Result<std::string> own = compilers_->fingerprint(kind);
  if (own) fingerprints.push_back(*own);
  if (!own || options_.offline) {
    const auto add = [&](KernelStore& tier) {
      for (std::string& each : tier.compilers()) {
        if (Compilers::may_make(kind, each) &&
            std::ranges::find(fingerprints, each) == fingerprints.end()) {
          fingerprints.push_back(std::move(each));
        }
      }
    };
    if (store_) add(*store_);
    for (const auto& tier : tiers_) add(*tier);
  }
  if (fingerprints.empty()) return std::unexpected(std::move(own).error());
  return fingerprints;
}

Tunings Builder::tunings(Target::Kind kind) {
  std::vector<Tuning> found;
  const auto add = [&](KernelStore& tier) {
    Result<std::vector<Tuning>> of_tier = tier.tunings();
    if (!of_tier) return log_warn(of_tier.error().message);
    for (Tuning& each : *of_tier) {
      const Result<Target> target = Target::parse(each.target);
      if (target && target->kind == kind) found.push_back(std::move(each));
    }
  };
  if (store_) add(*store_);
  for (const auto& tier : tiers_) add(*tier);
  if (found.empty()) return {};
  // Only now: to ask which compiler is here may take a search for it.
  const Result<std::vector<std::string>> known = fingerprints(kind);
  if (!known) return {};
  std::vector<Tuning> usable;
  for (const std::string& compiler : *known) {
    for (const Tuning& each : found) {
      if (each.compiler == compiler) usable.push_back(each);
    }
  }
  return Tunings(std::move(usable));
}

// The keys under which the code may stand.
Result<std::vector<Builder::Candidate>> Builder::candidates(const Specialization& specialization,
                                                            const Target& target) {
  if (target.kind == Target::Kind::kCuda && !options_.sanitize.empty()) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("can't sanitize {} for {}: only kernels for a CPU check themselves; "
                            "build for the target cpu, or unset FMS_SANITIZE",
                            specialization.kernel_template().name(), target.to_string()));
  }
  Result<std::vector<std::string>> known = fingerprints(target.kind);
  if (!known) {
    return std::unexpected(
        with_context(fmt::format("can't build {}", specialization.kernel_template().name()),
                     std::move(known).error()));
  }
  std::vector<Candidate> all;
  for (std::string& fingerprint : *known) {
    CompileRequest request =
        make_request(specialization, target, std::move(fingerprint),
                     {.lineinfo = options_.lineinfo, .sanitize = options_.sanitize});
    const Digest key = cache_key(request);
    all.push_back({std::move(request), key});
  }
  return all;
}

Result<CompileRequest> Builder::request(const Specialization& specialization,
                                        const Target& target) {
  FMS_TRY(std::vector<Candidate> all, candidates(specialization, target));
  return std::move(all.front().request);
}

std::optional<Result<Built>> Builder::look_up(const Candidate& candidate) {
  std::optional<KernelStore::Found> found;
  if (store_) found = store_->find(candidate.key);
  for (auto tier = tiers_.begin(); !found && tier != tiers_.end(); ++tier) {
    found = (*tier)->find(candidate.key);
  }
  if (!found) return std::nullopt;
  if (auto* failure = std::get_if<StoredFailure>(&*found)) {
    Error error = std::move(failure->error);
    error.detail +=
        "\nThis failure was found in the store. It is tried again after a week, with "
        "another compiler, or after `fms cache clear`.";
    return Result<Built>(std::unexpected(std::move(error)));
  }
  Built built{.object = std::get<ObjectCode>(*std::move(found)),
              .key = candidate.key,
              .origin = Origin::kStore};
  // A record's checksum says that it is whole, not that it was made for this request.
  if (!answers(built.object, candidate.request)) {
    log_warn(fmt::format("passing over the stored kernel {}: it is {} for {}, not what was asked",
                         candidate.key.hex().substr(0, 16), built.object.entry,
                         built.object.target.to_string()));
    return std::nullopt;
  }
  ++store_hits_;
  return built;
}

std::optional<Result<Built>> Builder::look_up(const std::vector<Candidate>& all) {
  for (const Candidate& candidate : all) {
    if (auto found = look_up(candidate)) return found;
  }
  return std::nullopt;
}

std::optional<Built> Builder::find(const Specialization& specialization, const Target& target) {
  const Result<std::vector<Candidate>> all = candidates(specialization, target);
  if (!all) return std::nullopt;
  std::optional<Result<Built>> found = look_up(*all);
  if (!found || !*found) return std::nullopt;
  return **std::move(found);
}

Result<bool> Builder::has(const Specialization& specialization, const Target& target) {
  FMS_TRY(const std::vector<Candidate> all, candidates(specialization, target));
  for (const Candidate& candidate : all) {
    if (store_ && store_->presence(candidate.key) == Presence::kCode) return true;
    for (const auto& tier : tiers_) {
      if (tier->presence(candidate.key) == Presence::kCode) return true;
    }
  }
  return false;
}

Result<Built> Builder::build(const Specialization& specialization, const Target& target,
                             const CancelToken& cancel) {
  FMS_TRY(const std::vector<Candidate> all, candidates(specialization, target));
  if (std::optional<Result<Built>> found = look_up(all)) return *std::move(found);
  if (options_.offline) {
    return fail(
        ErrorCode::kOffline,
        fmt::format("offline: {} for {} is not in the store (key {}): warm it with `fms warm` "
                    "or import a bundle, or unset FMS_OFFLINE",
                    specialization.to_string(), target.to_string(),
                    all.front().key.hex().substr(0, 16)));
  }
  const Result<std::shared_ptr<const Compiler>> opened = compiler(target.kind);
  if (!opened) {
    return std::unexpected(
        with_context(fmt::format("{} for {} is not in the store, and can't be compiled",
                                 specialization.to_string(), target.to_string()),
                     opened.error()));
  }
  for (;;) {
    bool joined = false;
    Result<Built> built = flights_.run(
        all.front().key, [&] { return compile_once(specialization, all.front(), true, cancel); },
        &joined);
    // Another thread's cancellation isn't ours.
    const bool others_cancellation =
        joined && !built && built.error().code == ErrorCode::kCancelled && !cancel.cancelled();
    if (!others_cancellation) return built;
  }
}

Result<Built> Builder::rebuild(const Specialization& specialization, const Target& target) {
  FMS_TRY_VOID(compiler(target.kind));
  FMS_TRY(const std::vector<Candidate> all, candidates(specialization, target));
  return flights_.run(all.front().key,
                      [&] { return compile_once(specialization, all.front(), false, {}); });
}

// Holds the lock over processes; what another has compiled meanwhile is taken from the store.
Result<Built> Builder::compile_once(const Specialization& specialization,
                                    const Candidate& candidate, bool believe_store,
                                    const CancelToken& cancel) {
  if (!store_) return compile(specialization, candidate, cancel);
  const Clock::time_point start = Clock::now();
  const std::string& name = specialization.kernel_template().name();
  const BuildLocks::Outcome lock =
      locks_->acquire(lock_key(*store_, candidate.key), name, options_.lock_patience, cancel,
                      [&](std::string_view holder, std::chrono::milliseconds waited) {
                        log_info(fmt::format("waiting for {}, which compiles {} ({:.1f} s)", holder,
                                             name, static_cast<double>(waited.count()) / 1000));
                      });
  const double wait_ms = ms_since(start);
  if (lock.waited) {
    ++waits_;
    wait_ms_ += wait_ms;
  }
  if (cancel.cancelled()) {
    return fail(ErrorCode::kCancelled, fmt::format("compiling {} was cancelled", name));
  }
  if (!lock.acquired) {
    log_warn(
        fmt::format("waited {:.1f} s for another process to compile {}; compiling it here as "
                    "well",
                    wait_ms / 1000, name));
  }
  // Only what is there is looked up: what is still missing is no second miss.
  if (believe_store && store_->presence(candidate.key) != Presence::kNothing) {
    if (std::optional<Result<Built>> found = look_up(candidate)) {
      if (*found) (**found).wait_ms = wait_ms;
      return *std::move(found);
    }
  }
  FMS_TRY(Built built, compile(specialization, candidate, cancel));
  if (lock.waited) built.wait_ms = wait_ms;
  return built;
}

Result<Built> Builder::compile(const Specialization& specialization, const Candidate& candidate,
                               const CancelToken& cancel) {
  FMS_TRY(const std::shared_ptr<const Compiler> compiler,
          this->compiler(candidate.request.target.kind));
  log_debug(fmt::format("compiling {} for {}", specialization.to_string(),
                        candidate.request.target.to_string()));
  CompileRequest request = candidate.request;
  // The store's note of the fingerprint can be wrong only if the compiler's files changed under
  // their old times; then the key is that of the compiler that really works.
  Digest key = candidate.key;
  if (request.compiler != compiler->fingerprint()) {
    request.compiler = compiler->fingerprint();
    key = cache_key(request);
  }
  Result<ObjectCode> object = compiler->compile(request, cancel);
  if (!options_.dump_dir.empty()) dump(specialization, {request, key}, object);
  if (!object) {
    ++failures_;
    const ErrorCode code = object.error().code;
    if (store_ && (code == ErrorCode::kCompileFailed || code == ErrorCode::kRejected)) {
      store_->put_failure(key, {object.error(), request.compiler},
                          make_record(specialization, request), request.target);
    }
    return std::unexpected(std::move(object).error());
  }
  ++compiles_;
  compile_ms_ += object->compile_ms;
  if (store_) store_->put(key, *object, make_record(specialization, request));
  log_info(fmt::format("compiled {} for {} in {:.0f} ms", specialization.to_string(),
                       request.target.to_string(), object->compile_ms));
  return Built{.object = *std::move(object), .key = key, .origin = Origin::kCompiled};
}

void Builder::dump(const Specialization& specialization, const Candidate& candidate,
                   const Result<ObjectCode>& object) const {
  std::error_code error;
  fs::create_directories(options_.dump_dir, error);
  const fs::path stem =
      options_.dump_dir / fmt::format("{}-{}-{}", specialization.kernel_template().name(),
                                      candidate.request.target.arch,
                                      candidate.key.hex().substr(0, 16));
  const std::string& source = candidate.request.source;
  write_file(fs::path(stem) += ".cu", source.data(), source.size());
  if (object) {
    write_file(fs::path(stem) += fmt::format(".{}", to_string(object->format)),
               object->bytes.data(), object->bytes.size());
  }
  const std::string& log = object ? object->log : object.error().detail;
  write_file(fs::path(stem) += ".log", log.data(), log.size());
}

void Builder::add_to(JitStats& stats) const {
  stats.store_hits += store_hits_;
  stats.compiles += compiles_;
  stats.failures += failures_;
  stats.waits += waits_;
  stats.compile_ms += compile_ms_;
  stats.wait_ms += wait_ms_;
}

}  // namespace fms

#include "runtime/jit.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <mutex>
#include <utility>

#include "compiler/llvm_library.h"
#include "runtime/background_queue.h"
#include "runtime/builder.h"
#include "runtime/kernel_cache.h"
#include "runtime/manifest_recorder.h"
#include "runtime/single_flight.h"

namespace fms {
namespace {

using Clock = std::chrono::steady_clock;

// Parses every embedded template: only for who records.
ManifestEntry to_manifest_entry(const Specialization& specialization) {
  const KernelTemplate& kernel_template = specialization.kernel_template();
  ManifestEntry entry;
  const std::vector<std::string> embedded = KernelTemplate::embedded_names();
  const bool is_embedded = std::ranges::find(embedded, kernel_template.name()) != embedded.end();
  entry.template_name = is_embedded ? kernel_template.name() : kernel_template.file_name();
  const std::span<const Parameter> parameters = kernel_template.parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    entry.parameters[parameters[i].name] = parameters[i].to_string(specialization.values()[i]);
  }
  return entry;
}

CancelToken cancel_of(const GetOptions& options) {
  return options.cancel != nullptr ? *options.cancel : CancelToken();
}

Error not_loaded(const Specialization& specialization) {
  return {ErrorCode::kNotFound,
          fmt::format("{} isn't loaded", specialization.kernel_template().name()), ""};
}

}  // namespace

std::string_view to_string(Origin origin) {
  switch (origin) {
    case Origin::kLoaded:
      return "loaded";
    case Origin::kStore:
      return "store";
    case Origin::kCompiled:
      break;
  }
  return "compiled";
}

struct Jit::State {
  explicit State(JitOptions given)
      : options(std::move(given)), builder(options), recorder(options.record) {}

  // A target of another kind than the device can't be meant for it.
  Target target_of(const Device& device) const {
    Target own = device.target();
    return options.target && options.target->kind == own.kind ? *options.target : own;
  }

  std::optional<Kernel> loaded(const KernelKey& key);
  Result<Kernel> load(const KernelKey& key, const std::shared_ptr<Device>& device,
                      const CancelToken& cancel);
  Result<Kernel> load_object(const KernelKey& key, const std::shared_ptr<Device>& device,
                             const Built& built);
  Result<Kernel> timed_load(const std::shared_ptr<Device>& device, const ObjectCode& object);
  std::optional<Result<Kernel>> load_stored(const KernelKey& key,
                                            const std::shared_ptr<Device>& device);
  Result<Kernel> load_dynamic(const KernelKey& key, const std::shared_ptr<Device>& device,
                              const GetOptions& asked);
  Result<Kernel> first_sight(const KernelKey& key, const std::shared_ptr<Device>& device,
                             Policy policy, const GetOptions& asked);
  void compile_behind(const KernelKey& key, const Target& target);

  const JitOptions options;
  Builder builder;
  ManifestRecorder recorder;
  KernelCache kernels;
  SingleFlight<KernelKey, Kernel, KernelKeyHash> flights;
  std::atomic<std::int64_t> loaded_hits{0}, background_compiles{0}, dynamic_served{0};
  std::atomic<double> load_us{0};
  std::array<std::once_flag, 2> tunings_read;                  // by Target::Kind
  std::array<Tunings, 2> tunings;                              // each written once, under its flag
  std::array<std::atomic<const Tunings*>, 2> known_tunings{};  // once they are written
  BackgroundQueue background;  // last: its thread uses all the others
};

// The very variant that `key` names, if it is loaded.
std::optional<Kernel> Jit::State::loaded(const KernelKey& key) {
  const auto hit = kernels.find(key.specialization, key.ordinal, false);
  return hit ? hit->exact : std::nullopt;
}

// Loads the very variant that `key` names, once however many threads ask.
Result<Kernel> Jit::State::load(const KernelKey& key, const std::shared_ptr<Device>& device,
                                const CancelToken& cancel) {
  const auto work = [&]() -> Result<Kernel> {
    if (auto kernel = loaded(key)) return *std::move(kernel);  // since the caller looked
    FMS_TRY(const Built built, builder.build(key.specialization, target_of(*device), cancel));
    return load_object(key, device, built);
  };
  for (;;) {
    bool joined = false;
    Result<Kernel> kernel = flights.run(key, work, &joined);
    // Another thread's cancellation isn't ours.
    const bool again =
        joined && !kernel && kernel.error().code == ErrorCode::kCancelled && !cancel.cancelled();
    if (!again) return kernel;
  }
}

Result<Kernel> Jit::State::load_object(const KernelKey& key, const std::shared_ptr<Device>& device,
                                       const Built& built) {
  Result<Kernel> kernel = timed_load(device, built.object);
  // The store's checksum was right, and the driver still refuses the image: what was stored was bad
  // from the start.
  if (!kernel && kernel.error().code == ErrorCode::kCorrupt && built.origin == Origin::kStore &&
      !options.offline) {
    log_warn(fmt::format("{}; compiling it again", kernel.error().message));
    FMS_TRY(const Built fresh, builder.rebuild(key.specialization, target_of(*device)));
    kernel = timed_load(device, fresh.object);
  }
  if (kernel) kernels.put_exact(key, *kernel);
  return kernel;
}

Result<Kernel> Jit::State::timed_load(const std::shared_ptr<Device>& device,
                                      const ObjectCode& object) {
  const Clock::time_point start = Clock::now();
  Result<Kernel> kernel = Kernel::load(device, object);
  load_us += std::chrono::duration<double, std::micro>(Clock::now() - start).count();
  return kernel;
}

// Nothing: the store doesn't have it.
std::optional<Result<Kernel>> Jit::State::load_stored(const KernelKey& key,
                                                      const std::shared_ptr<Device>& device) {
  const std::optional<Built> built = builder.find(key.specialization, target_of(*device));
  if (!built) return std::nullopt;
  return flights.run(key, [&]() -> Result<Kernel> {
    if (auto kernel = loaded(key)) return *std::move(kernel);  // since the caller looked
    return load_object(key, device, *built);
  });
}

Result<Kernel> Jit::State::load_dynamic(const KernelKey& key, const std::shared_ptr<Device>& device,
                                        const GetOptions& asked) {
  const KernelKey dynamic{key.specialization.dynamic(), key.ordinal};
  Result<Kernel> kernel = [&]() -> Result<Kernel> {
    if (auto found = loaded(dynamic)) return *std::move(found);
    if (asked.effort == Effort::kCompiled) return load(dynamic, device, cancel_of(asked));
    return load_stored(dynamic, device)
        .value_or(std::unexpected(not_loaded(dynamic.specialization)));
  }();
  if (kernel) kernels.put_dynamic(key, *kernel);
  return kernel;
}

// Not seen before, or not in the variant that the policy wants.
Result<Kernel> Jit::State::first_sight(const KernelKey& key, const std::shared_ptr<Device>& device,
                                       Policy policy, const GetOptions& asked) {
  const bool only_exact = policy == Policy::kExact || !key.specialization.has_exact_size();
  if (only_exact && asked.effort == Effort::kCompiled) {
    return load(key, device, cancel_of(asked));
  }
  if (only_exact || policy == Policy::kAuto) {
    // A warmed store has the exact variant: then there is nothing to wait for.
    if (auto kernel = load_stored(key, device)) return *std::move(kernel);
  }
  if (only_exact) return std::unexpected(not_loaded(key.specialization));
  Result<Kernel> kernel = load_dynamic(key, device, asked);
  if (kernel) ++dynamic_served;
  return kernel;
}

// Compiles the exact variant in the background. It is loaded by the next get(), on its caller's
// thread: this one must not touch CUDA, since another may be capturing a graph.
void Jit::State::compile_behind(const KernelKey& key, const Target& target) {
  background.push([this, key, target](const CancelToken& cancel) {
    Result<Built> built = builder.build(key.specialization, target, cancel);
    if (built) {
      ++background_compiles;
      kernels.put_ready(key, std::make_shared<const ObjectCode>(std::move(built->object)));
    } else if (built.error().code != ErrorCode::kCancelled) {
      log_warn(fmt::format("{} goes on with its dynamic variant: {}",
                           key.specialization.to_string(), built.error().message));
    }
  });
}

Jit::Jit(std::shared_ptr<State> state) : state_(std::move(state)) {}

Result<Jit> Jit::create(JitOptions options) {
  if (options.log_level) set_log_level(*options.log_level);
  if (!options.llvm.empty()) prefer_llvm(options.llvm);
  return Jit(std::make_shared<State>(std::move(options)));
}

Result<Jit> Jit::create() {
  FMS_TRY(JitOptions options, JitOptions::from_environment());
  return create(std::move(options));
}

Result<Kernel> Jit::get(const Specialization& specialization, const std::shared_ptr<Device>& device,
                        const GetOptions& options) {
  State& state = *state_;
  const Policy policy = options.policy.value_or(state.options.policy);
  const int ordinal = device->info().ordinal;
  const bool automatic = policy == Policy::kAuto;
  std::optional<KernelCache::Hit> hit = state.kernels.find(specialization, ordinal, automatic);
  if (hit && policy != Policy::kDynamic && hit->exact) {
    state.loaded_hits.fetch_add(1, std::memory_order_relaxed);
    return *std::move(hit->exact);
  }
  const bool dynamic_serves = hit && hit->dynamic && policy != Policy::kExact;
  if (dynamic_serves && !hit->ready) {
    if (hit->came_back && !state.options.offline) {
      state.compile_behind({specialization, ordinal}, state.target_of(*device));
    }
    state.loaded_hits.fetch_add(1, std::memory_order_relaxed);
    state.dynamic_served.fetch_add(1, std::memory_order_relaxed);
    return *std::move(hit->dynamic);
  }
  // A kernel with no sizes, or a dynamic one asked for as such, has its only variant under `exact`.
  if (hit && hit->exact && !specialization.has_exact_size()) return *std::move(hit->exact);

  if (options.effort == Effort::kLoaded) return std::unexpected(not_loaded(specialization));
  FMS_TRY(const bool capturing, is_capturing(*device, options.stream));
  if (capturing) {
    if (dynamic_serves) return *std::move(hit->dynamic);
    return fail(ErrorCode::kCapturing,
                fmt::format("can't build {} while a CUDA graph is captured: call Jit::prepare() "
                            "before the capture",
                            specialization.to_string()));
  }
  if (options.record && recording()) record(to_manifest_entry(specialization));
  const KernelKey key{specialization, ordinal};
  if (dynamic_serves) {
    const Built ready{.object = *hit->ready, .origin = Origin::kCompiled};
    return state.flights.run(key, [&] { return state.load_object(key, device, ready); });
  }
  return state.first_sight(key, device, policy, options);
}

Result<void> Jit::prepare(const Specialization& specialization,
                          const std::shared_ptr<Device>& device, const CancelToken& cancel) {
  State& state = *state_;
  if (recording()) record(to_manifest_entry(specialization));
  const KernelKey key{specialization, device->info().ordinal};
  FMS_TRY_VOID(state.load(key, device, cancel));
  if (specialization.has_exact_size()) {
    FMS_TRY_VOID(state.load_dynamic(key, device, {.cancel = &cancel}));
  }
  return {};
}

Result<Built> Jit::build(const Specialization& specialization, const Target& target,
                         const CancelToken& cancel) {
  return state_->builder.build(specialization, target, cancel);
}

Result<bool> Jit::has(const Specialization& specialization, const Target& target) {
  return state_->builder.has(specialization, target);
}

Result<CompileRequest> Jit::request(const Specialization& specialization, const Target& target) {
  return state_->builder.request(specialization, target);
}

void Jit::record(const ManifestEntry& entry) { state_->recorder.record(entry); }

bool Jit::recording() const { return state_->recorder.recording(); }

Target Jit::target_of(const Device& device) const { return state_->target_of(device); }

const Tunings& Jit::tunings(Target::Kind kind) const {
  State& state = *state_;
  const auto at = static_cast<std::size_t>(kind);
  // Asked for at each call of attention, for which call_once takes long.
  if (const Tunings* known = state.known_tunings[at].load(std::memory_order_acquire)) return *known;
  std::call_once(state.tunings_read[at], [&] {
    state.tunings[at] = state.builder.tunings(kind);
    state.known_tunings[at].store(&state.tunings[at], std::memory_order_release);
  });
  return state.tunings[at];
}

void Jit::wait_for_background() { state_->background.wait_until_empty(); }

JitStats Jit::stats() const {
  JitStats stats;
  state_->builder.add_to(stats);
  stats.loaded_hits = state_->loaded_hits;
  stats.background_compiles = state_->background_compiles;
  stats.dynamic_served = state_->dynamic_served;
  stats.load_us = state_->load_us;
  return stats;
}

const JitOptions& Jit::options() const { return state_->options; }

KernelStore* Jit::store() const { return state_->builder.store(); }

std::vector<const KernelStore*> Jit::read_tiers() const { return state_->builder.read_tiers(); }

Result<std::shared_ptr<const Compiler>> Jit::compiler(Target::Kind kind) {
  return state_->builder.compiler(kind);
}

}  // namespace fms

#include "python/native/specialized.h"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "python/native/hooks.h"
#include "python/native/interrupt.h"
#include "python/native/lending.h"
#include "runtime/launch_floor.h"

namespace fms::python {
namespace {

bool same(DLDevice a, DLDevice b) {
  return a.device_type == b.device_type && a.device_id == b.device_id;
}

}  // namespace

Specialized::Specialized(Specialization specialization,
                         const std::optional<std::vector<KernelParameter>>& parameters,
                         std::optional<Policy> policy)
    : specialization_(std::move(specialization)), policy_(policy) {
  if (parameters) parameters_ = resolve(*parameters, specialization_);
}

// Whether the kernel that the Jit gives now is the one that it will always give.
bool Specialized::is_final() const {
  return prepared_ || !specialization_.has_exact_size() || policy_ == Policy::kExact;
}

Specialized::Loaded* Specialized::loaded_on(DLDevice device) {
  const std::uint64_t generation = Session::get().generation();
  for (Loaded& each : loaded_) {
    if (same(each.which, device) && each.generation == generation) return &each;
  }
  return nullptr;
}

std::optional<Kernel> Specialized::find(DLDevice device, StreamView stream) {
  if (const Loaded* const loaded = loaded_on(device)) {
    if (loaded->kernel) return loaded->kernel;
    Result<Jit> jit = Session::get().jit();
    if (!jit) return raise(jit.error()), std::nullopt;
    Result<Kernel> kernel =
        jit->get(specialization_, loaded->device,
                 {.policy = policy_, .stream = stream, .effort = Effort::kLoaded});
    if (kernel) return *std::move(kernel);
    if (kernel.error().code != ErrorCode::kNotFound) {
      return raise(kernel.error()), std::nullopt;
    }
  }
  return build(device, stream);
}

std::optional<Kernel> Specialized::build(DLDevice device, StreamView stream) {
  Loaded made{device, 0, nullptr, std::nullopt};
  const auto get = [&](Effort effort, const CancelToken& cancel) -> Result<Kernel> {
    FMS_TRY(Jit jit, Session::get().jit(&made.generation));
    FMS_TRY(made.device, Session::get().device(device));
    const GetOptions options{
        .policy = policy_, .stream = stream, .effort = effort, .cancel = &cancel};
    Result<Kernel> first = jit.get(specialization_, made.device, options);
    if (!first || !prepared_ || !specialization_.has_exact_size()) return first;
    // A prepared one keeps what it is given: that must not be the dynamic variant.
    FMS_TRY_VOID(jit.prepare(specialization_, made.device, cancel));
    return jit.get(specialization_, made.device, options);
  };
  Result<Kernel> kernel = fail(ErrorCode::kNotFound, "not looked for");
  if (!prepared_) {
    const WithoutGil unlocked;
    kernel = get(Effort::kStored, CancelToken());
  }
  if (!kernel && kernel.error().code == ErrorCode::kNotFound) {
    const auto work = [&](const CancelToken& cancel) { kernel = get(Effort::kCompiled, cancel); };
    if (!run_interruptible(work)) return std::nullopt;
  }
  if (!kernel) return raise(kernel.error()), std::nullopt;
  if (is_final()) made.kernel = *kernel;
  remember(std::move(made));
  return *std::move(kernel);
}

bool Specialized::prepare(DLDevice device) {
  Loaded made{device, 0, nullptr, std::nullopt};
  Result<void> done;
  const auto work = [&](const CancelToken& cancel) {
    done = [&]() -> Result<void> {
      FMS_TRY(Jit jit, Session::get().jit(&made.generation));
      FMS_TRY(made.device, Session::get().device(device));
      FMS_TRY_VOID(jit.prepare(specialization_, made.device, cancel));
      FMS_TRY(made.kernel, jit.get(specialization_, made.device, {.policy = policy_}));
      return {};
    }();
  };
  if (!run_interruptible(work)) return false;
  if (!done) return raise(done.error()), false;
  prepared_ = true;
  remember(std::move(made));
  return true;
}

void Specialized::remember(Loaded loaded) {
  for (Loaded& each : loaded_) {
    if (same(each.which, loaded.which)) {
      each = std::move(loaded);
      return;
    }
  }
  loaded_.push_back(std::move(loaded));
}

std::string Specialized::takes() const {
  std::string list;
  for (const KernelParameter& parameter : *parameters_) {
    list += fmt::format("{}{}{}{}", list.empty() ? "" : ", ", parameter.text,
                        parameter.name.empty() ? "" : " ", parameter.name);
  }
  return fmt::format("{}({})", specialization_.kernel_template().name(), list);
}

bool Specialized::check_count(std::size_t given) const {
  if (!parameters_ || parameters_->size() == given) return true;
  raise_type(fmt::format("{} takes {} argument{}, and {} {} given", takes(), parameters_->size(),
                         parameters_->size() == 1 ? "" : "s", given, given == 1 ? "is" : "are"));
  return false;
}

bool Specialized::make_ready(const Arguments& arguments, std::optional<StreamView> stream,
                             Ready& ready) {
  if (!check_count(arguments.size())) return false;
  std::optional<DLDevice> device;
  if (!arguments.find_device(device)) return false;
  if (!device) {
    const Result<DLDevice> chosen = Session::get().default_device();
    if (!chosen) return raise(chosen.error()), false;
    device = *chosen;
  }
  ready.device = *device;
  ready.stream = {};  // the CPU has but one
  if (device->device_type != kDLCPU) {
    ready.stream = stream ? *stream : StreamView{arguments.current_stream(*device)};
  }
  ready.kernel = find(*device, ready.stream);
  if (!ready.kernel) return false;
  const Kernel& kernel = *ready.kernel;

  const std::vector<ParameterLayout>& layout = kernel.resources().parameters;
  if (layout.size() != arguments.size() && kernel.parameters_known()) {
    raise_type(fmt::format("{} takes {} arguments, and {} are given", kernel.name(), layout.size(),
                           arguments.size()));
    return false;
  }
  ready.count = arguments.size();
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    static const KernelParameter kUnknown{.text = "?"};
    const KernelParameter& parameter = parameters_ ? (*parameters_)[i] : kUnknown;
    const std::uint32_t size = i < layout.size() ? layout[i].size : 0;
    PackedArgument& packed = ready.packed[i];
    const std::string wrong = pack(arguments[i], parameter, size, packed);
    if (!wrong.empty()) [[unlikely]] {
      raise_type(fmt::format("can't launch {}: argument {}{} {}", kernel.name(), i + 1,
                             parameter.name.empty() ? "" : fmt::format(" ('{}')", parameter.name),
                             wrong));
      return false;
    }
    std::construct_at(&ready.list[i], packed.data, packed.size);
  }
  return true;
}

bool Specialized::launch(const Arguments& arguments, const LaunchConfig& config,
                         std::optional<StreamView> stream) {
  Ready ready;
  if (!make_ready(arguments, stream, ready)) return false;
  std::vector<LentMemory> lent;
  if (ready.device.device_type == kDLCPU && !lend_arrays(arguments.tuple(), lent)) return false;
  Result<void> done;
  {
    const WithoutGil unlocked;  // a CPU's kernel runs here; a full queue of a GPU is waited for
    done = fms::launch(ready.stream, config, *ready.kernel, ready.arguments());
  }
  if (!done) return raise(done.error()), false;
  return true;
}

std::optional<double> Specialized::time_raw(const Arguments& arguments, const LaunchConfig& config,
                                            std::optional<StreamView> stream, int count) {
  Ready ready;
  if (!make_ready(arguments, stream, ready)) return std::nullopt;
  Result<double> seconds = 0.0;
  {
    const WithoutGil unlocked;
    seconds =
        seconds_of_raw_launches(ready.stream, config, *ready.kernel, ready.arguments(), count);
  }
  if (!seconds) return raise(seconds.error()), std::nullopt;
  return *seconds;
}

}  // namespace fms::python

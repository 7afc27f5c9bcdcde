#include <memory>
#include <set>
#include <utility>

#include "python/native/dict.h"
#include "python/native/functions.h"
#include "python/native/hooks.h"
#include "python/native/interrupt.h"
#include "python/native/session.h"

namespace fms::python {
namespace {

// What a manifest asks for, each once. Lines that ask for what isn't there are failures.
struct WarmPlan {
  struct Item {
    Specialization specialization;
    Target target;
  };
  struct Failure {
    int line;
    Target target;
    Error error;
  };
  std::vector<Item> items;
  std::vector<Failure> failures;
};

Result<WarmPlan> make_plan(const Jit& jit, const char* file, const std::vector<Target>& targets) {
  FMS_TRY(const Manifest manifest, Manifest::read(file));
  const std::filesystem::path folder = std::filesystem::path(file).parent_path();
  WarmPlan plan;
  std::set<std::string> seen;
  for (const Target& target : targets) {
    for (const ManifestEntry& entry : manifest.entries) {
      auto kernels = resolve(entry, target, folder, jit.tunings(target.kind));
      if (!kernels) plan.failures.push_back({entry.line, target, kernels.error()});
      if (!kernels) continue;
      for (Specialization& each : *kernels) {
        if (!seen.insert(target.to_string() + ' ' + each.to_string()).second) continue;
        plan.items.push_back({std::move(each), target});
      }
    }
  }
  return plan;
}

std::optional<std::vector<Target>> parse_targets(PyObject* tuple) {
  std::vector<Target> targets;
  for (Py_ssize_t i = 0; i < PyTuple_Size(tuple); ++i) {
    const char* const text = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(tuple, i), nullptr);
    if (text == nullptr) return std::nullopt;
    Result<Target> target = Target::parse(text);
    if (!target) return raise(target.error()), std::nullopt;
    targets.push_back(*std::move(target));
  }
  return targets;
}

constexpr char kPlanName[] = "flashmoe_science.warm_plan";

void destroy_plan(PyObject* capsule) {
  delete static_cast<WarmPlan*>(PyCapsule_GetPointer(capsule, kPlanName));
}

// What `ask` makes of a Jit, where Ctrl-C ends it. Nothing: an error is set.
template <typename T, typename Ask>
std::optional<T> with_jit(const Ask& ask) {
  std::optional<Result<T>> result;
  const bool finished = run_interruptible([&](const CancelToken& cancel) {
    result = [&]() -> Result<T> {
      FMS_TRY(Jit jit, Session::get().jit());
      return ask(jit, cancel);
    }();
  });
  if (!finished) return std::nullopt;
  if (!*result) return raise(result->error()), std::nullopt;
  return **std::move(result);
}

// warm_plan(manifest's file, tuple of targets) -> handle: for warm_kernel(); kernels:
// [(specialization, target, in the store)]; failures
PyObject* warm_plan(PyObject*, PyObject* arguments) {
  const char* file = nullptr;
  PyObject* list = nullptr;
  if (!PyArg_ParseTuple(arguments, "sO!", &file, &PyTuple_Type, &list)) return nullptr;
  const auto targets = parse_targets(list);
  if (!targets) return nullptr;
  std::vector<bool> present;
  auto made = with_jit<WarmPlan>([&](Jit& jit, const CancelToken&) -> Result<WarmPlan> {
    FMS_TRY(WarmPlan plan, make_plan(jit, file, *targets));
    for (const WarmPlan::Item& item : plan.items) {
      // What can't be told, as when there is no compiler, building will say.
      present.push_back(jit.has(item.specialization, item.target).value_or(false));
    }
    return plan;
  });
  if (!made) return nullptr;
  auto plan = std::make_unique<WarmPlan>(*std::move(made));
  std::size_t at = 0;
  const Ref kernels = to_list(plan->items, [&](const WarmPlan::Item& item) {
    return Ref(Py_BuildValue("ssO", item.specialization.to_string().c_str(),
                             item.target.to_string().c_str(), present[at++] ? Py_True : Py_False));
  });
  const Ref failures = to_list(plan->failures, [](const WarmPlan::Failure& failure) {
    return Dict()
        .set("specialization", "line " + std::to_string(failure.line))
        .set("target", failure.target.to_string())
        .set("code", to_string(failure.error.code))
        .set("message", failure.error.message)
        .set("detail", failure.error.detail)
        .take();
  });
  Ref handle(PyCapsule_New(plan.get(), kPlanName, destroy_plan));
  if (handle) static_cast<void>(plan.release());
  return Dict()
      .set("handle", std::move(handle))
      .set("kernels", Ref::borrow(kernels.get()))
      .set("failures", Ref::borrow(failures.get()))
      .release();
}

// warm_kernel(handle of a plan, index in its kernels) -> compiled by this call
PyObject* warm_kernel(PyObject*, PyObject* arguments) {
  PyObject* handle = nullptr;
  Py_ssize_t index = 0;
  if (!PyArg_ParseTuple(arguments, "On", &handle, &index)) return nullptr;
  const auto* const plan = static_cast<const WarmPlan*>(PyCapsule_GetPointer(handle, kPlanName));
  if (plan == nullptr) return nullptr;
  const auto compiled = with_jit<bool>([&](Jit& jit, const CancelToken& cancel) -> Result<bool> {
    if (index < 0 || static_cast<std::size_t>(index) >= plan->items.size()) {
      return fail(ErrorCode::kInvalidArgument, "the manifest has changed while it was warmed");
    }
    const WarmPlan::Item& item = plan->items[static_cast<std::size_t>(index)];
    FMS_TRY(const Built built, jit.build(item.specialization, item.target, cancel));
    return built.origin == Origin::kCompiled;
  });
  return compiled ? to_python(*compiled).release() : nullptr;
}

}  // namespace

PyMethodDef warm_functions[] = {
    {"warm_plan", warm_plan, METH_VARARGS, nullptr},
    {"warm_kernel", warm_kernel, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace fms::python

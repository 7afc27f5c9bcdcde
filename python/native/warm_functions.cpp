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

// What `ask` makes of a plan, where Ctrl-C ends it. Nothing: an error is set.
template <typename T, typename Ask>
std::optional<T> with_plan(const char* file, PyObject* tuple, const Ask& ask) {
  const auto targets = parse_targets(tuple);
  if (!targets) return std::nullopt;
  std::optional<Result<T>> result;
  const bool finished = run_interruptible([&](const CancelToken& cancel) {
    result = [&]() -> Result<T> {
      FMS_TRY(Jit jit, Session::get().jit());
      FMS_TRY(WarmPlan plan, make_plan(jit, file, *targets));
      return ask(jit, std::move(plan), cancel);
    }();
  });
  if (!finished) return std::nullopt;
  if (!*result) return raise(result->error()), std::nullopt;
  return **std::move(result);
}

// warm_plan(manifest's file, tuple of targets) -> kernels: [(specialization, target, in the store)]
PyObject* warm_plan(PyObject*, PyObject* arguments) {
  const char* file = nullptr;
  PyObject* targets = nullptr;
  if (!PyArg_ParseTuple(arguments, "sO!", &file, &PyTuple_Type, &targets)) return nullptr;
  std::vector<bool> present;
  const auto plan =
      with_plan<WarmPlan>(file, targets, [&](Jit& jit, WarmPlan made, auto&) -> Result<WarmPlan> {
        for (const WarmPlan::Item& item : made.items) {
          // What can't be told, as when there is no compiler, building will say.
          present.push_back(jit.has(item.specialization, item.target).value_or(false));
        }
        return made;
      });
  if (!plan) return nullptr;
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
  return Dict()
      .set("kernels", Ref::borrow(kernels.get()))
      .set("failures", Ref::borrow(failures.get()))
      .release();
}

// warm_kernel(manifest's file, tuple of targets, index in the plan's kernels) -> compiled by this
PyObject* warm_kernel(PyObject*, PyObject* arguments) {
  const char* file = nullptr;
  PyObject* targets = nullptr;
  Py_ssize_t index = 0;
  if (!PyArg_ParseTuple(arguments, "sO!n", &file, &PyTuple_Type, &targets, &index)) return nullptr;
  const auto compiled = with_plan<bool>(
      file, targets,
      [&](Jit& jit, const WarmPlan& plan, const CancelToken& cancel) -> Result<bool> {
        if (index < 0 || static_cast<std::size_t>(index) >= plan.items.size()) {
          return fail(ErrorCode::kInvalidArgument, "the manifest has changed while it was warmed");
        }
        const WarmPlan::Item& item = plan.items[static_cast<std::size_t>(index)];
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

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "python/native/specialized.h"

namespace fms::python {

// What a `_C.Launchable` holds: a template, and the specialisations of it that were asked for by
// name; or, of a frozen handle, the one that it is. Guarded by the GIL.
class LaunchableState {
 public:
  LaunchableState(std::shared_ptr<const KernelTemplate> kernel_template,
                  std::optional<Policy> policy);
  LaunchableState(const LaunchableState& from, std::shared_ptr<Specialized> fixed);

  const KernelTemplate& kernel_template() const { return *template_; }
  const std::optional<std::vector<KernelParameter>>& parameters() const { return parameters_; }

  // The specialisation that these keyword arguments (a dict, or null) name. Null: an error is set.
  std::shared_ptr<Specialized> specialize(PyObject* keywords);
  // The same for a handle of its own, which no other has.
  std::shared_ptr<Specialized> make(PyObject* keywords) const;

 private:
  struct Entry {
    std::vector<std::pair<Ref, Ref>> named;
    std::shared_ptr<Specialized> kernel;
  };

  static bool matches(const Entry& entry, PyObject* keywords);

  std::shared_ptr<const KernelTemplate> template_;
  std::optional<std::vector<KernelParameter>> parameters_;
  std::optional<Policy> policy_;
  std::shared_ptr<Specialized> fixed_;  // null: not frozen
  std::vector<Entry> entries_;          // the latest used first
};

// The Python object. `state` is null until _open() or _freeze() has made it.
struct LaunchableObject {
  PyObject_HEAD;
  LaunchableState* state;
};

// The state, or null with an error set.
LaunchableState* state_of(PyObject* launchable);

// The types, new references; null: an error is set.
PyObject* make_launchable_type();
PyObject* make_launch_type();

// launchable[grid, block, ...]: an object to be called with the kernel's arguments.
PyObject* make_launch(PyObject* launchable, PyObject* key);

extern PyMethodDef launchable_methods[];

}  // namespace fms::python

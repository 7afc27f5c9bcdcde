#include "python/native/launchable.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "python/native/hooks.h"

namespace fms::python {
namespace {

// Past these the least used is forgotten, and costs a parse of its values when it comes back.
constexpr std::size_t kMostEntries = 16;

std::optional<std::string> text_of(PyObject* value) {
  const Ref text(PyObject_CallFunctionObjArgs(hooks().parameter_text, value, nullptr));
  if (!text) return std::nullopt;
  Py_ssize_t size = 0;
  const char* const data = PyUnicode_AsUTF8AndSize(text.get(), &size);
  if (data == nullptr) return std::nullopt;
  return std::string(data, static_cast<std::size_t>(size));
}

// Equal keywords may name different values: 1, 1.0 and True are equal in Python.
bool is_same_value(PyObject* a, PyObject* b) {
  if (a == b) return true;
  PyTypeObject* const type = Py_TYPE(a);
  if (type != Py_TYPE(b) || (type != &PyLong_Type && type != &PyUnicode_Type)) return false;
  return PyObject_RichCompareBool(a, b, Py_EQ) == 1;
}

void dealloc(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  delete reinterpret_cast<LaunchableObject*>(self)->state;
  const auto release = reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free));
  release(self);
  Py_DECREF(reinterpret_cast<PyObject*>(type));
}

}  // namespace

LaunchableState::LaunchableState(std::shared_ptr<const KernelTemplate> kernel_template,
                                 std::optional<Policy> policy)
    : template_(std::move(kernel_template)),
      parameters_(read_parameters(*template_)),
      policy_(policy) {}

LaunchableState::LaunchableState(const LaunchableState& from, std::shared_ptr<Specialized> fixed)
    : template_(from.template_),
      parameters_(from.parameters_),
      policy_(from.policy_),
      fixed_(std::move(fixed)) {}

bool LaunchableState::matches(const Entry& entry, PyObject* keywords) {
  const Py_ssize_t size = keywords == nullptr ? 0 : PyDict_Size(keywords);
  if (size != static_cast<Py_ssize_t>(entry.named.size())) return false;
  return std::ranges::all_of(entry.named, [&](const auto& named) {
    PyObject* const value = PyDict_GetItem(keywords, named.first.get());
    return value != nullptr && is_same_value(value, named.second.get());
  });
}

std::shared_ptr<Specialized> LaunchableState::make(PyObject* keywords) const {
  Specialization::NamedText values;
  Py_ssize_t at = 0;
  PyObject *name = nullptr, *value = nullptr;
  while (keywords != nullptr && PyDict_Next(keywords, &at, &name, &value)) {
    const char* const key = PyUnicode_AsUTF8AndSize(name, nullptr);
    if (key == nullptr) return nullptr;
    std::optional<std::string> text = text_of(value);
    if (!text) return nullptr;
    values[key] = *std::move(text);
  }
  Result<Specialization> specialization = Specialization::parse(template_, values);
  if (!specialization) return raise(specialization.error()), nullptr;
  return std::make_shared<Specialized>(*std::move(specialization), parameters_, policy_);
}

std::shared_ptr<Specialized> LaunchableState::specialize(PyObject* keywords) {
  if (fixed_) {
    if (keywords == nullptr || PyDict_Size(keywords) == 0) return fixed_;
    raise_type(fmt::format("{} is prepared, and takes no parameters any more",
                           fixed_->specialization().to_string()));
    return nullptr;
  }
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (!matches(entries_[i], keywords)) continue;
    if (i > 0) std::rotate(entries_.begin(), entries_.begin() + i, entries_.begin() + i + 1);
    return entries_.front().kernel;
  }
  Entry entry{{}, make(keywords)};
  if (!entry.kernel) return nullptr;
  Py_ssize_t at = 0;
  PyObject *name = nullptr, *value = nullptr;
  while (keywords != nullptr && PyDict_Next(keywords, &at, &name, &value)) {
    entry.named.emplace_back(Ref::borrow(name), Ref::borrow(value));
  }
  std::shared_ptr<Specialized> kernel = entry.kernel;
  if (entries_.size() >= kMostEntries) entries_.pop_back();
  entries_.insert(entries_.begin(), std::move(entry));
  return kernel;
}

LaunchableState* state_of(PyObject* launchable) {
  LaunchableState* const state = reinterpret_cast<LaunchableObject*>(launchable)->state;
  if (state == nullptr) raise_type("this object isn't made yet: use fms.jit()");
  return state;
}

PyObject* make_launchable_type() {
  static PyType_Slot slots[] = {
      {Py_tp_dealloc, reinterpret_cast<void*>(&dealloc)},
      {Py_mp_subscript, reinterpret_cast<void*>(&make_launch)},
      {Py_tp_methods, launchable_methods},
      {Py_tp_doc, const_cast<char*>("What can be launched: launchable[grid, block](*arguments).")},
      {0, nullptr},
  };
  static PyType_Spec spec = {"flashmoe_science._C.Launchable", sizeof(LaunchableObject), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
  return PyType_FromSpec(&spec);
}

}  // namespace fms::python

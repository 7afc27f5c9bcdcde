#include "python/native/hooks.h"

#include <string>

namespace fms::python {
namespace {

PyObject* raise_as(std::string_view code, std::string_view message, std::string_view detail) {
  const Ref text(
      PyUnicode_DecodeUTF8(message.data(), static_cast<Py_ssize_t>(message.size()), "replace"));
  const Ref more(
      PyUnicode_DecodeUTF8(detail.data(), static_cast<Py_ssize_t>(detail.size()), "replace"));
  const Ref name(PyUnicode_DecodeUTF8(code.data(), static_cast<Py_ssize_t>(code.size()), nullptr));
  if (!text || !more || !name) return nullptr;
  const Ref error(PyObject_CallFunctionObjArgs(hooks().make_error, name.get(), text.get(),
                                               more.get(), nullptr));
  if (!error) return nullptr;
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.get())), error.get());
  return nullptr;
}

}  // namespace

Hooks& hooks() {
  static Hooks instance;
  return instance;
}

PyObject* raise(const Error& error) {
  return raise_as(to_string(error.code), error.message, error.detail);
}

PyObject* raise_type(std::string_view message) { return raise_as("argument", message, {}); }

}  // namespace fms::python

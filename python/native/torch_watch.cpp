#include "python/native/torch_watch.h"

#include "python/native/functions.h"

namespace fms::python {
namespace {

// False if it isn't an int, and where it can't be had.
bool is_int(PyObject* object, bool (*holds)(long)) {
  if (object == nullptr) {
    PyErr_Clear();
    return false;
  }
  const long value = PyLong_AsLong(object);
  if (value == -1 && PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    return false;
  }
  return holds(value);
}

bool is_zero(PyObject* count) {
  return is_int(Ref(PyObject_CallNoArgs(count)).get(), [](long value) { return value == 0; });
}

bool gives(PyObject* function, PyObject* expected) {
  const Ref found(PyObject_CallNoArgs(function));
  if (!found) PyErr_Clear();
  return found.get() == expected;
}

bool derives_forward() {
  static PyObject* const kLevel = PyUnicode_InternFromString("_current_level");
  PyObject* const level = PyDict_GetItemWithError(torch().forward_ad_globals, kLevel);
  return !is_int(level, [](long value) { return value < 0; });
}

bool is_profiled() {
  static PyObject* const kEnabled = PyUnicode_InternFromString("_is_profiler_enabled");
  PyObject* const enabled = PyDict_GetItemWithError(torch().profiler_globals, kEnabled);
  if (enabled == nullptr) PyErr_Clear();  // no such name: older or newer; it then misses the call
  return enabled == Py_True;
}

// _set_torch(...): the members of Torch, in order.
PyObject* set_torch(PyObject*, PyObject* arguments) {
  Torch given;
  if (!PyArg_ParseTuple(arguments, "OOOOOOOOO!O!", &given.tensor_type, &given.empty_like,
                        &given.empty_strided_cuda, &given.is_grad_enabled,
                        &given.count_dispatch_modes, &given.count_function_modes,
                        &given.functorch_level, &given.is_tracing, &PyDict_Type,
                        &given.forward_ad_globals, &PyDict_Type, &given.profiler_globals)) {
    return nullptr;
  }
  for (PyObject* const each :
       {given.tensor_type, given.empty_like, given.empty_strided_cuda, given.is_grad_enabled,
        given.count_dispatch_modes, given.count_function_modes, given.functorch_level,
        given.is_tracing, given.forward_ad_globals, given.profiler_globals}) {
    Py_INCREF(each);
  }
  torch() = given;
  return Ref::borrow(Py_None).release();
}

PyObject* is_watched_of_python(PyObject*, PyObject*) {
  return Ref::borrow(is_watched() ? Py_True : Py_False).release();
}

}  // namespace

Torch& torch() {
  static Torch instance;
  return instance;
}

bool is_watched() {
  const Torch& t = torch();
  return t.tensor_type == nullptr || !is_zero(t.count_dispatch_modes) ||
         !gives(t.functorch_level, Py_None) || derives_forward() ||
         !gives(t.is_tracing, Py_False) || is_profiled();
}

bool has_function_mode() { return !is_zero(torch().count_function_modes); }

bool records_gradients() { return !gives(torch().is_grad_enabled, Py_False); }

PyMethodDef torch_functions[] = {
    {"_set_torch", set_torch, METH_VARARGS, nullptr},
    {"is_watched", is_watched_of_python, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace fms::python

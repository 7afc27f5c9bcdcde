#include <fmt/format.h>

#include "compiler/version.h"
#include "python/native/direct_attention.h"
#include "python/native/functions.h"
#include "python/native/launchable.h"
#include "python/native/operators.h"

namespace fms::python {
namespace {

bool add(PyObject* module, const char* name, Ref object) {
  return object && PyModule_AddObjectRef(module, name, object.get()) == 0;
}

PyObject* make_module() {
  static PyModuleDef definition = {PyModuleDef_HEAD_INIT,
                                   "_C",
                                   "The native part of flashmoe_science; its Python code is the "
                                   "interface.",
                                   -1,
                                   nullptr,
                                   nullptr,
                                   nullptr,
                                   nullptr,
                                   nullptr};
  Ref module(PyModule_Create(&definition));
  if (!module) return nullptr;
  const std::string_view version = fms::version();
  const bool good = PyModule_AddFunctions(module.get(), session_functions) == 0 &&
                    PyModule_AddFunctions(module.get(), store_functions) == 0 &&
                    PyModule_AddFunctions(module.get(), attention_functions) == 0 &&
                    PyModule_AddFunctions(module.get(), torch_functions) == 0 &&
                    PyModule_AddFunctions(module.get(), machine_functions) == 0 &&
                    PyModule_AddFunctions(module.get(), warm_functions) == 0 &&
                    add(module.get(), "Launchable", Ref(make_launchable_type())) &&
                    add(module.get(), "Launch", Ref(make_launch_type())) &&
                    add(module.get(), "ShortWay", Ref(make_short_way_type())) &&
                    add(module.get(), "version",
                        Ref(PyUnicode_FromStringAndSize(version.data(),
                                                        static_cast<Py_ssize_t>(version.size()))));
  if (!good) return nullptr;
  register_operators();
  return module.release();
}

}  // namespace
}  // namespace fms::python

PyMODINIT_FUNC PyInit__C() { return fms::python::make_module(); }

#include "python/native/lending.h"

#include "python/native/hooks.h"
#include "python/native/session.h"

namespace fms::python {

bool lend_arrays(PyObject* tuple, std::vector<LentMemory>& lent) {
  if (!Session::get().checks_addresses()) return true;
  const Ref ranges(PyObject_CallFunctionObjArgs(hooks().host_ranges, tuple, nullptr));
  if (!ranges) return false;
  const Py_ssize_t count = PyList_Size(ranges.get());
  for (Py_ssize_t i = 0; i < count; ++i) {
    unsigned long long start = 0, bytes = 0;
    if (!PyArg_ParseTuple(PyList_GetItem(ranges.get(), i), "KK", &start, &bytes)) return false;
    lent.emplace_back(reinterpret_cast<const void*>(static_cast<std::uintptr_t>(start)),
                      static_cast<std::size_t>(bytes));
  }
  return count >= 0;
}

}  // namespace fms::python

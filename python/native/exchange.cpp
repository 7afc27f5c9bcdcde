#include "python/native/exchange.h"

#include <array>
#include <cstddef>

namespace fms::python {
namespace {

struct Known {
  PyTypeObject* type = nullptr;  // a strong reference: another type at its address would be taken
  const DLPackExchangeAPI* api = nullptr;
};

// Guarded by the GIL. Programs pass arrays of two or three types; those past the table are asked
// each time.
struct Table {
  std::array<Known, 16> known{};
  std::size_t size = 0;
};

Table& table() {
  static Table instance;
  return instance;
}

const DLPackExchangeAPI* ask(PyTypeObject* type) {
  const Ref capsule(
      PyObject_GetAttrString(reinterpret_cast<PyObject*>(type), "__dlpack_c_exchange_api__"));
  if (!capsule || !PyCapsule_IsValid(capsule.get(), "dlpack_exchange_api")) {
    PyErr_Clear();
    return nullptr;
  }
  const auto* api = static_cast<const DLPackExchangeAPI*>(
      PyCapsule_GetPointer(capsule.get(), "dlpack_exchange_api"));
  if (api == nullptr || api->header.version.major != DLPACK_MAJOR_VERSION ||
      api->dltensor_from_py_object_no_sync == nullptr) {
    return nullptr;
  }
  return api;
}

}  // namespace

const DLPackExchangeAPI* exchange_api_of(PyTypeObject* type) {
  Table& all = table();
  for (std::size_t i = 0; i < all.size; ++i) {
    if (all.known[i].type == type) return all.known[i].api;
  }
  const DLPackExchangeAPI* const api = ask(type);
  if (all.size < all.known.size()) {
    Py_INCREF(reinterpret_cast<PyObject*>(type));
    all.known[all.size++] = {type, api};
  }
  return api;
}

}  // namespace fms::python

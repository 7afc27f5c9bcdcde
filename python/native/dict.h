#pragma once

#include <string>
#include <string_view>
#include <type_traits>

#include "python/native/python_api.h"

namespace fms::python {

inline Ref to_python(std::string_view text) {
  return Ref(PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace"));
}
inline Ref to_python(const char* text) { return to_python(std::string_view(text)); }
inline Ref to_python(const std::string& text) { return to_python(std::string_view(text)); }
inline Ref to_python(bool value) { return Ref(PyBool_FromLong(value ? 1 : 0)); }
inline Ref to_python(double value) { return Ref(PyFloat_FromDouble(value)); }
template <typename Integer>
requires std::is_integral_v<Integer> Ref to_python(Integer value) {
  return Ref(PyLong_FromLongLong(static_cast<long long>(value)));
}
inline Ref to_python(Ref object) { return object; }

// A dict that is being filled. After a failure all else does nothing, and release() gives null with
// the error set. REQUIRES the GIL.
class Dict {
 public:
  Dict() : dict_(PyDict_New()) {}

  template <typename Value>
  Dict& set(const char* name, Value&& value) {
    const Ref object = dict_ ? to_python(std::forward<Value>(value)) : Ref();
    if (!object || PyDict_SetItemString(dict_.get(), name, object.get()) != 0) dict_ = Ref();
    return *this;
  }

  PyObject* release() { return dict_.release(); }
  Ref take() { return std::move(dict_); }

 private:
  Ref dict_;
};

// A list of what `convert` makes of each element; null in the Ref: an error is set.
template <typename Range, typename Convert>
Ref to_list(const Range& range, const Convert& convert) {
  Ref list(PyList_New(0));
  for (const auto& each : range) {
    const Ref object = list ? to_python(convert(each)) : Ref();
    if (!object || PyList_Append(list.get(), object.get()) != 0) return Ref();
  }
  return list;
}

}  // namespace fms::python

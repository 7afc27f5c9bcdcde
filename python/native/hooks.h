#pragma once

#include <string_view>

#include "compiler/result.h"
#include "python/native/python_api.h"

namespace fms::python {

// What the package's Python code does for this module. Set once, at import; REQUIRES the GIL.
struct Hooks {
  PyObject* make_error = nullptr;      // (code, message, detail) -> exception
  PyObject* convert = nullptr;         // (object) -> what argument.h says, or TypeError
  PyObject* stream_handle = nullptr;   // (object) -> int
  PyObject* parameter_text = nullptr;  // (value) -> str: a template parameter's value
  PyObject* host_ranges = nullptr;     // (arguments) -> [(address, bytes), ...] on the CPU
};
Hooks& hooks();

// Raise, and return null, so that callers can return it.
PyObject* raise(const Error& error);
PyObject* raise_type(std::string_view message);  // ArgumentError, a TypeError

}  // namespace fms::python

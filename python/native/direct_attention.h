#pragma once

#include "python/native/python_api.h"
#include "runtime/ops/attention.h"

namespace fms::python {

using attention::Mask;

// Attention without options, as its caller has written it.
struct PlainCall {
  PyObject* q = nullptr;  // all borrowed, and of any type
  PyObject* k = nullptr;
  PyObject* v = nullptr;
  float scale = 0;  // 0: the default
  Mask mask = Mask::kFull;
  bool is_bhsd = false;
};

bool is_text(PyObject* object, const char* text);

// "bottom-right" or "top-left", as the arguments causal and mask have them; else false.
bool read_alignment(PyObject* object, Mask& mask);

// None: the default. False where it is no scale, 0 among that: the long way says so.
bool read_scale(PyObject* object, float& scale);

// The result, or None where the call must take the long way: something looks on at it, a tensor
// says more than its memory, or the arrays don't fit together, which the long way reports. Null: an
// exception is set.
//
// What takes part in the cost of a small problem is left out: PyTorch's dispatcher, the operator's
// way through tvm-ffi, and its arguments. REQUIRES the GIL, which it releases.
PyObject* compute_directly(const PlainCall& call);

// The type of what stands in for the callable of an operator of PyTorch's: ShortWay(original) is
// called with the operator's arguments.
PyObject* make_short_way_type();

}  // namespace fms::python

#pragma once

#include "python/native/python_api.h"

namespace fms::python {

// What this module asks of PyTorch, which it doesn't link. Set once, by the package's Python code,
// before the first call with its tensors; REQUIRES the GIL, as all here does. Strong references.
struct Torch {
  PyObject* tensor_type = nullptr;
  PyObject* empty_like = nullptr;
  PyObject* empty_strided_cuda = nullptr;  // None in a PyTorch without it
  PyObject* is_grad_enabled = nullptr;
  PyObject* count_dispatch_modes = nullptr;
  PyObject* count_function_modes = nullptr;
  PyObject* functorch_level = nullptr;     // None where no function is transformed
  PyObject* is_tracing = nullptr;          // torch.jit.trace() runs
  PyObject* forward_ad_globals = nullptr;  // of torch.autograd.forward_ad: a dict
  PyObject* profiler_globals = nullptr;    // of torch.autograd.profiler: a dict
};
Torch& torch();

// Whether a mode, a function transform, forward-mode derivatives, a tracer or a profiler look on at
// what this thread computes, so that operators must go through PyTorch's dispatcher. Dynamo isn't
// among them: it has to be asked in Python code, which it reads. Never fails: what can't be asked
// looks on.
bool is_watched();

// Whether a mode of torch functions looks on (torch.set_default_device() is one): it sees calls of
// PyTorch's operators, and none of other functions.
bool has_function_mode();

// Whether autograd records what this thread computes.
bool records_gradients();

}  // namespace fms::python

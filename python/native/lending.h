#pragma once

#include <vector>

#include "python/native/python_api.h"
#include "runtime/lent_memory.h"

namespace fms::python {

// Lends the memory of all arrays on the CPU in a tuple, where the session's kernels check their
// addresses; else nothing. False: a Python error is set. REQUIRES the GIL.
bool lend_arrays(PyObject* tuple, std::vector<LentMemory>& lent);

}  // namespace fms::python

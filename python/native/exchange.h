#pragma once

#include <dlpack/dlpack.h>

#include "python/native/python_api.h"

namespace fms::python {

// The C table by which a type of arrays gives its DLTensors (DLPack 1.3: PyTorch from 2.11,
// tvm-ffi); null if the type has none. Remembered by type, so that a call costs a comparison.
//
// REQUIRES the GIL. Never fails: a table that can't be read counts as none.
const DLPackExchangeAPI* exchange_api_of(PyTypeObject* type);

}  // namespace fms::python

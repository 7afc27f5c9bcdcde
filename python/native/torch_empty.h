#pragma once

#include <dlpack/dlpack.h>

#include "python/native/python_api.h"

namespace fms::python {

// torch.empty_like(like), for a tensor of PyTorch's of which `seen` is what DLPack says; `made` is
// the same of the new one. Null: it failed, and an exception is set. REQUIRES torch() and the GIL.
Ref make_empty_like(const DLPackExchangeAPI& api, PyObject* like, const DLTensor& seen,
                    DLTensor& made);

}  // namespace fms::python

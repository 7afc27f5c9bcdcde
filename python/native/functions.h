#pragma once

#include "python/native/python_api.h"

namespace fms::python {

// The module's functions, by what they are about.
extern PyMethodDef session_functions[];    // options, statistics, shutdown
extern PyMethodDef store_functions[];      // the store on disk
extern PyMethodDef attention_functions[];  // attention of PyTorch's tensors, past the operators
extern PyMethodDef torch_functions[];      // what PyTorch is asked
extern PyMethodDef machine_functions[];    // what is found here
extern PyMethodDef warm_functions[];       // what a manifest asks for

}  // namespace fms::python

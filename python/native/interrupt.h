#pragma once

#include <functional>

#include "compiler/compiler.h"
#include "python/native/python_api.h"

namespace fms::python {

// Runs `work`, which may compile, on a thread of its own, while this one lets other Python threads
// run and answers signals. If a handler raises (Ctrl-C), the work is cancelled and waited for, and
// false is returned with the handler's exception set.
//
// REQUIRES the GIL, which `work` doesn't have and must not ask for.
bool run_interruptible(const std::function<void(const CancelToken&)>& work);

}  // namespace fms::python

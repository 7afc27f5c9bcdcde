#pragma once

#include <string>

#include "tools/fms/inspection.h"

namespace fms::program {

// The targets of an inspection, side by side: the part of to_text() that is about object code.
std::string targets_text(const Inspection& inspection);

}  // namespace fms::program

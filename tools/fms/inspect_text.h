#pragma once

#include <string>

#include "tools/fms/inspection.h"

namespace fms::program {

// For a person, in at most 100 columns.
std::string to_text(const Inspection& inspection);

}  // namespace fms::program

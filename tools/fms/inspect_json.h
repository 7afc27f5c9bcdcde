#pragma once

#include <nlohmann/json_fwd.hpp>

#include "tools/fms/inspection.h"

namespace fms::program {

// For a program: tools/fms/inspect.md describes each field. Names stay; new ones may come.
nlohmann::json to_json(const Inspection& inspection);

}  // namespace fms::program

#pragma once

#include <string_view>

namespace fms {

// This project's version, as CMakeLists.txt has it: "0.1.0".
std::string_view version();

}  // namespace fms

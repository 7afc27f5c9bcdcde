#pragma once

#include <string>
#include <string_view>

namespace fms::program {

std::string_view version();  // "0.1.0"
// `git describe` of the sources when this was configured; "unknown" outside of a repository.
std::string_view commit();
std::string version_line();  // "fms 0.1.0 (0123abc)"

}  // namespace fms::program

#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fms {

// One #include line of a source.
struct IncludeName {
  std::string name;     // as it is spelled
  bool angled = false;  // <name> and not "name"

  bool operator==(const IncludeName&) const = default;
};

// The files that `text` includes, in order, each spelling once. No #if is evaluated: an include
// behind a false one is listed too, and may name a file that doesn't exist here.
std::vector<IncludeName> scan_includes(std::string_view text);

}  // namespace fms

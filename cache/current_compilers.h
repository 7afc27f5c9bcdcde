#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fms::cache {

// The compilers that are at work here, at most one of each name. A name is what a fingerprint
// starts with: that of "nvrtc 13.0 build 1" is "nvrtc".
class CurrentCompilers {
 public:
  static CurrentCompilers from_note(std::string_view note);
  std::string to_note() const;  // a fingerprint a line, in the order of their names

  // Takes the place of the one of its name.
  void set(std::string_view fingerprint);
  void set_all(const CurrentCompilers& others);

  // True if the one of its name is another: what only `fingerprint` is looked up by is of no use.
  bool makes_obsolete(std::string_view fingerprint) const;

  bool operator==(const CurrentCompilers&) const = default;

 private:
  std::vector<std::string> fingerprints_;  // sorted by name
};

}  // namespace fms::cache

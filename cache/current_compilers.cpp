#include "cache/current_compilers.h"

#include <algorithm>

namespace fms::cache {
namespace {

std::string_view name_of(std::string_view fingerprint) {
  return fingerprint.substr(0, fingerprint.find(' '));
}

}  // namespace

CurrentCompilers CurrentCompilers::from_note(std::string_view note) {
  CurrentCompilers compilers;
  while (!note.empty()) {
    const std::size_t end = std::min(note.find('\n'), note.size());
    compilers.set(note.substr(0, end));
    note.remove_prefix(std::min(end + 1, note.size()));
  }
  return compilers;
}

std::string CurrentCompilers::to_note() const {
  std::string note;
  for (const std::string& each : fingerprints_) note += (note.empty() ? "" : "\n") + each;
  return note;
}

void CurrentCompilers::set(std::string_view fingerprint) {
  // A line of the note can't hold more than one line.
  fingerprint = fingerprint.substr(0, fingerprint.find('\n'));
  if (fingerprint.empty()) return;
  const auto place =
      std::ranges::lower_bound(fingerprints_, name_of(fingerprint), {},
                               [](const std::string& each) { return name_of(each); });
  if (place != fingerprints_.end() && name_of(*place) == name_of(fingerprint)) {
    *place = fingerprint;
  } else {
    fingerprints_.emplace(place, fingerprint);
  }
}

void CurrentCompilers::set_all(const CurrentCompilers& others) {
  for (const std::string& each : others.fingerprints_) set(each);
}

bool CurrentCompilers::makes_obsolete(std::string_view fingerprint) const {
  return std::ranges::any_of(fingerprints_, [&](const std::string& each) {
    return name_of(each) == name_of(fingerprint) && each != fingerprint;
  });
}

}  // namespace fms::cache

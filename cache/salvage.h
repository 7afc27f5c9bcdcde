#pragma once

#include <cstdint>
#include <filesystem>

#include "cache/sqlite.h"

namespace fms::cache {

// Copies to `fresh` every record of a damaged store that can be reached and passes its checksum,
// and the notes and counts if they can be read. Never fails: what can't be read stays behind. Works
// for two seconds at most, for its caller may be waiting for a kernel.
std::int64_t salvage(const std::filesystem::path& damaged, Database& fresh);

}  // namespace fms::cache

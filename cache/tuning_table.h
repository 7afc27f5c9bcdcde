#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cache/sqlite.h"
#include "cache/tuning.h"
#include "compiler/digest.h"
#include "compiler/result.h"

namespace fms::cache {

// A row of the table `tuning`, unchecked.
struct TuningRow {
  std::int64_t id = 0;
  Tuning tuning;
  Digest checksum;  // as stored
};

// SHA-256 over the labelled fields, in the order that cache/README.md states.
Digest checksum_of(const Tuning& tuning);

// Whether it is one that a store keeps; the error says what is wrong with it.
Result<void> check(const Tuning& tuning);
// The same, and that it is what was put there.
Result<void> check(const TuningRow& row);

// Those of a store of the first schema, which has no such table, are none. In the order of what
// they hold for, so that equal contents make equal bundles.
SqlResult<std::vector<TuningRow>> read_tunings(Database& database);

// Writes over one that holds for the same. Makes a store of the first schema one of the second.
// REQUIRES: inside a Transaction, as the next.
SqlResult<void> write_tuning(Database& database, const Tuning& tuning);
SqlResult<void> remove_tuning(Database& database, std::int64_t id);

}  // namespace fms::cache

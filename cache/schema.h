#pragma once

#include <cstdint>
#include <filesystem>

#include "cache/sqlite.h"
#include "compiler/result.h"

namespace fms::cache {

// "FMSK", at byte 68 of the file, where file(1) looks.
inline constexpr std::int64_t kApplicationId = 0x464D534B;

// The formats of the file, described in cache/README.md. A change of tables, of columns, of what a
// column holds or of what a checksum covers is a new schema; store_v1.db and store_v2.db keep these
// readable. The second is the first with the table `tuning`: a store becomes one when it is first
// given a tuning, so that one which has none stays readable by programs that know only the first.
inline constexpr std::int64_t kFirstSchema = 1;
inline constexpr std::int64_t kSchemaVersion = 2;

// Whose file this is.
enum class Identity {
  kOurs,
  kNewer,    // ours, of a later schema
  kForeign,  // a sound SQLite database of another program
  kDamaged,  // not a database, an empty one, or one without our tables
};

// Fails only if the file can't be read for reasons that are not its own.
SqlResult<Identity> identify(Database& database);

// True if tables and indices are exactly those of the schema that the file says it has: for files
// from outside.
SqlResult<bool> has_exact_schema(Database& database);

// Whether it is of the second schema.
SqlResult<bool> has_tuning_table(Database& database);
// Makes it so, if it isn't. REQUIRES: inside a Transaction.
SqlResult<void> add_tuning_table(Database& database);

// Makes a new database with the tables of the first schema at `file`, which must not exist: 0600,
// in rollback mode, without waiting for the disk; sync_file() does that once, at the end.
Result<Database> make_database(const std::filesystem::path& file);

}  // namespace fms::cache

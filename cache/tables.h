#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/record.h"
#include "cache/sqlite.h"

namespace fms::cache {

// The SQL of the store: what is read and written, and nothing about when. Functions that change
// more than one table are called inside a Transaction.

// Counts to be added to those in the file.
struct Counts {
  std::int64_t hits = 0, misses = 0, compiles = 0, failures = 0, corrupt_removed = 0, evicted = 0;
  double compile_ms_spent = 0, compile_ms_saved = 0;

  bool is_zero() const { return *this == Counts(); }
  bool operator==(const Counts&) const = default;
};

// Has the statements ready that finding a kernel runs, and others, so that all tables and columns
// of schema 1 are named. Fails if one isn't there.
SqlResult<void> prepare_lookups(Database& database);

// The record as it is in the file, unchecked. Nothing: there is none.
SqlResult<std::optional<Record>> read_record(Database& database, const Digest& key);
SqlResult<std::optional<Record>> read_record(Database& database, std::int64_t id);

// What stands under a key, without key fields, log and code. Nothing: there is none.
SqlResult<std::optional<Record>> read_row(Database& database, const Digest& key);

// Ids of all records, those of keys in order.
SqlResult<std::vector<std::int64_t>> record_ids(Database& database);
// Ids and keys of the records whose keys lie between two, both included; at most `limit`.
SqlResult<std::vector<std::int64_t>> ids_between(Database& database, const Digest& first,
                                                 const Digest& last, int limit);

// Writes a record over what was under its key, and keeps the uses counted there. A failure doesn't
// replace object code: then the result is false.
SqlResult<bool> write_record(Database& database, const Record& record);

// Removes the record of that id if it (still) has that checksum. Returns how many were removed.
SqlResult<std::int64_t> remove_record(Database& database, std::int64_t id, const Digest& checksum);
// Removes whatever is under a key.
SqlResult<std::int64_t> remove_key(Database& database, const Digest& key);
SqlResult<std::int64_t> remove_expired_failures(Database& database, std::int64_t now);
SqlResult<std::int64_t> remove_everything(Database& database);  // the counts too; notes stay

// Notes uses of a row, unless its last use was noted less than a day before this one.
SqlResult<void> add_use(Database& database, const Digest& key, std::int64_t hits,
                        std::int64_t last_used);
SqlResult<void> add_counts(Database& database, const Counts& counts);

// What is listed of every record: no key fields, no log, no code.
SqlResult<std::vector<Record>> list_records(Database& database);
SqlResult<std::vector<std::string>> list_compilers(Database& database);
// Id and key fields of every record of a template but one.
SqlResult<std::vector<std::pair<std::int64_t, std::string>>> list_key_fields(
    Database& database, std::string_view template_name, const Digest& not_this);
SqlResult<StoreStats> read_stats(Database& database);

SqlResult<std::optional<std::string>> read_note(Database& database, std::string_view name);
SqlResult<void> write_note(Database& database, std::string_view name, std::string_view value);

// Bytes of the file that hold something: no less than the bytes of all object code.
SqlResult<std::int64_t> used_file_bytes(Database& database);

}  // namespace fms::cache

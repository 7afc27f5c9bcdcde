#include "cache/tables.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace fms::cache {
namespace {

#define FMS_ROW_COLUMNS                                                                       \
  "k.id, k.key, k.template, k.specialization, k.target, k.format, k.entry, k.compiler, "      \
  "k.resources, k.compile_ms, k.error_code, k.error_message, k.created, k.expires, k.bytes, " \
  "k.checksum, k.last_used, k.hits"

// LEFT JOIN: a row whose content is gone must come out, and fail its checksum, so that it goes.
#define FMS_READ_RECORD                 \
  "SELECT " FMS_ROW_COLUMNS             \
  ", c.key_fields, c.log, c.code FROM " \
  "kernel k LEFT JOIN content c ON c.id = k.id WHERE "

constexpr char kReadByKey[] = FMS_READ_RECORD "k.key = ?1";
constexpr char kReadById[] = FMS_READ_RECORD "k.id = ?1";
constexpr char kList[] = "SELECT " FMS_ROW_COLUMNS " FROM kernel k ORDER BY k.id";
constexpr char kRow[] = "SELECT " FMS_ROW_COLUMNS " FROM kernel k WHERE k.key = ?1";
#undef FMS_READ_RECORD
#undef FMS_ROW_COLUMNS

constexpr char kIds[] = "SELECT id FROM kernel ORDER BY key";
constexpr char kIdsBetween[] =
    "SELECT id FROM kernel WHERE key BETWEEN ?1 AND ?2 ORDER BY key LIMIT ?3";
// The id stays, so that content is replaced and not orphaned. The condition keeps object code from
// a failure: equal keys mean interchangeable code, so code that was once made is good.
constexpr char kWriteRow[] =
    "INSERT INTO kernel(key, template, specialization, target, format, entry, compiler, resources,"
    " compile_ms, error_code, error_message, created, expires, bytes, checksum, last_used, hits)"
    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)"
    " ON CONFLICT(key) DO UPDATE SET template = excluded.template,"
    " specialization = excluded.specialization, target = excluded.target,"
    " format = excluded.format, entry = excluded.entry, compiler = excluded.compiler,"
    " resources = excluded.resources, compile_ms = excluded.compile_ms,"
    " error_code = excluded.error_code, error_message = excluded.error_message,"
    " created = excluded.created, expires = excluded.expires, bytes = excluded.bytes,"
    " checksum = excluded.checksum, last_used = excluded.last_used"
    " WHERE excluded.error_code = '' OR error_code != '' RETURNING id";
constexpr char kWriteContent[] =
    "INSERT OR REPLACE INTO content(id, key_fields, log, code) VALUES(?1, ?2, ?3, ?4)";

// A checksum of the wrong length reads as zeros.
constexpr char kRemoveRow[] =
    "DELETE FROM kernel WHERE id = ?1 AND (checksum = ?2 OR length(checksum) != 32)";
constexpr char kRemoveKey[] = "DELETE FROM kernel WHERE key = ?1 RETURNING id";
constexpr char kRemoveContent[] = "DELETE FROM content WHERE id = ?1";
constexpr char kExpired[] =
    "SELECT id, checksum FROM kernel WHERE error_code != '' AND expires <= ?1";

// At most once a day a row, so that a process that only finds kernels leaves their rows as they
// are.
constexpr char kAddUse[] =
    "UPDATE kernel SET hits = hits + ?2, last_used = ?3 WHERE key = ?1 AND ?3 - last_used >= 86400";
constexpr char kAddCount[] =
    "INSERT INTO counter(name, value) VALUES(?1, ?2)"
    " ON CONFLICT(name) DO UPDATE SET value = value + excluded.value";
constexpr char kCounts[] = "SELECT name, value FROM counter";
constexpr char kTotals[] =
    "SELECT count(*), coalesce(sum(bytes), 0), coalesce(sum(error_code != ''), 0) FROM kernel";

constexpr char kCompilers[] =
    "SELECT compiler FROM kernel WHERE error_code = '' GROUP BY compiler"
    " ORDER BY max(last_used) DESC, max(id) DESC";
constexpr char kKeyFields[] =
    "SELECT k.id, c.key_fields FROM kernel k JOIN content c ON c.id = k.id"
    " WHERE k.template = ?1 AND k.key != ?2 ORDER BY k.last_used DESC, k.id DESC";

constexpr char kReadNote[] = "SELECT value FROM note WHERE name = ?1";
constexpr char kWriteNote[] = "INSERT OR REPLACE INTO note(name, value) VALUES(?1, ?2)";

// A digest column of the wrong length reads as zeros, which no check accepts.
Digest digest_at(const Statement& row, int column) {
  Digest digest;
  const auto blob = row.blob(column);
  if (blob.size() == digest.bytes.size())
    std::ranges::transform(blob, digest.bytes.begin(),
                           [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
  return digest;
}

Record row_at(const Statement& row) {
  Record record;
  const auto text = [&](int column) { return std::string(row.text(column)); };
  record.id = row.integer(0);
  record.key = digest_at(row, 1);
  record.template_name = text(2);
  record.specialization = text(3);
  record.target = text(4);
  record.format = text(5);
  record.entry = text(6);
  record.compiler = text(7);
  record.resources = text(8);
  record.compile_ms = row.real(9);
  record.error_code = text(10);
  record.error_message = text(11);
  record.created = row.integer(12);
  record.expires = row.integer(13);
  record.bytes = row.integer(14);
  record.checksum = digest_at(row, 15);
  record.last_used = row.integer(16);
  record.hits = row.integer(17);
  return record;
}

SqlResult<std::optional<Record>> read_one(Statement& statement) {
  FMS_TRY(const bool found, statement.step());
  if (!found) return std::optional<Record>();
  Record record = row_at(statement);
  record.key_fields = std::string(statement.text(18));
  record.log = std::string(statement.text(19));
  const auto code = statement.blob(20);
  record.code.assign(code.begin(), code.end());
  return std::optional(std::move(record));
}

SqlResult<void> remove_content(Database& database, std::int64_t id) {
  FMS_TRY(Statement remove, database.prepare(kRemoveContent));
  return remove.bind(1, id).run();
}

SqlResult<std::vector<std::int64_t>> read_ids(Statement& statement) {
  std::vector<std::int64_t> ids;
  for (;;) {
    FMS_TRY(const bool row, statement.step());
    if (!row) return ids;
    ids.push_back(statement.integer(0));
  }
}

std::int64_t microseconds(double ms) { return std::llround(ms * 1000); }

}  // namespace

SqlResult<void> prepare_lookups(Database& database) {
  for (const char* sql : {kReadByKey, kReadNote, kCounts}) FMS_TRY_VOID(database.prepare(sql));
  return {};
}

SqlResult<std::optional<Record>> read_record(Database& database, const Digest& key) {
  FMS_TRY(Statement read, database.prepare(kReadByKey));
  read.bind(1, std::span(key.bytes));
  return read_one(read);
}

SqlResult<std::optional<Record>> read_record(Database& database, std::int64_t id) {
  FMS_TRY(Statement read, database.prepare(kReadById));
  read.bind(1, id);
  return read_one(read);
}

SqlResult<std::optional<Record>> read_row(Database& database, const Digest& key) {
  FMS_TRY(Statement read, database.prepare(kRow));
  read.bind(1, std::span(key.bytes));
  FMS_TRY(const bool found, read.step());
  return found ? std::optional(row_at(read)) : std::nullopt;
}

SqlResult<std::vector<std::int64_t>> record_ids(Database& database) {
  FMS_TRY(Statement list, database.prepare(kIds));
  return read_ids(list);
}

SqlResult<std::vector<std::int64_t>> ids_between(Database& database, const Digest& first,
                                                 const Digest& last, int limit) {
  FMS_TRY(Statement list, database.prepare(kIdsBetween));
  list.bind(1, std::span(first.bytes)).bind(2, std::span(last.bytes));
  list.bind(3, static_cast<std::int64_t>(limit));
  return read_ids(list);
}

SqlResult<bool> write_record(Database& database, const Record& record) {
  FMS_TRY(Statement row, database.prepare(kWriteRow));
  row.bind(1, std::span(record.key.bytes))
      .bind(2, record.template_name)
      .bind(3, record.specialization)
      .bind(4, record.target)
      .bind(5, record.format)
      .bind(6, record.entry)
      .bind(7, record.compiler)
      .bind(8, record.resources)
      .bind(9, record.compile_ms)
      .bind(10, record.error_code)
      .bind(11, record.error_message)
      .bind(12, record.created)
      .bind(13, record.expires)
      .bind(14, static_cast<std::int64_t>(record.code.size()))
      .bind(15, std::span(record.checksum.bytes))
      .bind(16, record.last_used)
      .bind(17, record.hits);
  FMS_TRY(const bool written, row.step());
  if (!written) return false;
  const std::int64_t id = row.integer(0);
  FMS_TRY_VOID(row.run());
  FMS_TRY(Statement content, database.prepare(kWriteContent));
  content.bind(1, id).bind(2, record.key_fields).bind(3, record.log);
  content.bind(4, std::span<const std::byte>(record.code));
  FMS_TRY_VOID(content.run());
  return true;
}

SqlResult<std::int64_t> remove_record(Database& database, std::int64_t id, const Digest& checksum) {
  FMS_TRY(Statement remove, database.prepare(kRemoveRow));
  remove.bind(1, id).bind(2, std::span(checksum.bytes));
  FMS_TRY_VOID(remove.run());
  const std::int64_t removed = database.changes();
  if (removed > 0) FMS_TRY_VOID(remove_content(database, id));
  return removed;
}

SqlResult<std::int64_t> remove_key(Database& database, const Digest& key) {
  FMS_TRY(Statement remove, database.prepare(kRemoveKey));
  remove.bind(1, std::span(key.bytes));
  FMS_TRY(const std::vector<std::int64_t> ids, read_ids(remove));
  for (const std::int64_t id : ids) FMS_TRY_VOID(remove_content(database, id));
  return static_cast<std::int64_t>(ids.size());
}

SqlResult<std::int64_t> remove_expired_failures(Database& database, std::int64_t now) {
  std::vector<std::pair<std::int64_t, Digest>> expired;
  {
    FMS_TRY(Statement list, database.prepare(kExpired));
    list.bind(1, now);
    for (;;) {
      FMS_TRY(const bool row, list.step());
      if (!row) break;
      expired.emplace_back(list.integer(0), digest_at(list, 1));
    }
  }
  std::int64_t removed = 0;
  for (const auto& [id, checksum] : expired) {
    FMS_TRY(const std::int64_t count, remove_record(database, id, checksum));
    removed += count;
  }
  return removed;
}

SqlResult<std::int64_t> remove_everything(Database& database) {
  FMS_TRY(const std::int64_t entries, database.integer("SELECT count(*) FROM kernel"));
  FMS_TRY_VOID(database.execute("DELETE FROM kernel; DELETE FROM content; DELETE FROM counter"));
  return entries;
}

SqlResult<void> add_use(Database& database, const Digest& key, std::int64_t hits,
                        std::int64_t last_used) {
  FMS_TRY(Statement add, database.prepare(kAddUse));
  return add.bind(1, std::span(key.bytes)).bind(2, hits).bind(3, last_used).run();
}

SqlResult<void> add_counts(Database& database, const Counts& counts) {
  const std::pair<std::string_view, std::int64_t> named[] = {
      {"hits", counts.hits},
      {"misses", counts.misses},
      {"compiles", counts.compiles},
      {"failures", counts.failures},
      {"corrupt_removed", counts.corrupt_removed},
      {"evicted", counts.evicted},
      {"compile_us_spent", microseconds(counts.compile_ms_spent)},
      {"compile_us_saved", microseconds(counts.compile_ms_saved)},
  };
  FMS_TRY(Statement add, database.prepare(kAddCount));
  for (const auto& [name, value] : named)
    if (value != 0) FMS_TRY_VOID(add.bind(1, name).bind(2, value).run());
  return {};
}

SqlResult<std::vector<Record>> list_records(Database& database) {
  FMS_TRY(Statement list, database.prepare(kList));
  std::vector<Record> records;
  for (;;) {
    FMS_TRY(const bool row, list.step());
    if (!row) return records;
    records.push_back(row_at(list));
  }
}

SqlResult<std::vector<std::string>> list_compilers(Database& database) {
  FMS_TRY(Statement list, database.prepare(kCompilers));
  std::vector<std::string> compilers;
  for (;;) {
    FMS_TRY(const bool row, list.step());
    if (!row) return compilers;
    compilers.emplace_back(list.text(0));
  }
}

SqlResult<std::vector<std::pair<std::int64_t, std::string>>> list_key_fields(
    Database& database, std::string_view template_name, const Digest& not_this) {
  FMS_TRY(Statement list, database.prepare(kKeyFields));
  list.bind(1, template_name).bind(2, std::span(not_this.bytes));
  std::vector<std::pair<std::int64_t, std::string>> fields;
  for (;;) {
    FMS_TRY(const bool row, list.step());
    if (!row) return fields;
    fields.emplace_back(list.integer(0), list.text(1));
  }
}

SqlResult<StoreStats> read_stats(Database& database) {
  StoreStats stats;
  {
    FMS_TRY(Statement totals, database.prepare(kTotals));
    FMS_TRY(const bool row, totals.step());
    if (row) {
      stats.entries = totals.integer(0);
      stats.bytes = totals.integer(1);
      stats.failed_entries = totals.integer(2);
    }
  }
  FMS_TRY(Statement counts, database.prepare(kCounts));
  for (;;) {
    FMS_TRY(const bool row, counts.step());
    if (!row) return stats;
    const std::string_view name = counts.text(0);
    const std::int64_t value = counts.integer(1);
    if (name == "hits") stats.hits = value;
    if (name == "misses") stats.misses = value;
    if (name == "compiles") stats.compiles = value;
    if (name == "failures") stats.failures = value;
    if (name == "corrupt_removed") stats.corrupt_removed = value;
    if (name == "evicted") stats.evicted = value;
    if (name == "compile_us_spent") stats.compile_ms_spent = static_cast<double>(value) / 1000;
    if (name == "compile_us_saved") stats.compile_ms_saved = static_cast<double>(value) / 1000;
  }
}

SqlResult<std::optional<std::string>> read_note(Database& database, std::string_view name) {
  FMS_TRY(Statement read, database.prepare(kReadNote));
  FMS_TRY(const bool found, read.bind(1, name).step());
  if (!found) return std::optional<std::string>();
  return std::optional(std::string(read.text(0)));
}

SqlResult<void> write_note(Database& database, std::string_view name, std::string_view value) {
  FMS_TRY(Statement write, database.prepare(kWriteNote));
  return write.bind(1, name).bind(2, value).run();
}

SqlResult<std::int64_t> used_file_bytes(Database& database) {
  FMS_TRY(const std::int64_t pages, database.integer("PRAGMA page_count"));
  FMS_TRY(const std::int64_t unused, database.integer("PRAGMA freelist_count"));
  FMS_TRY(const std::int64_t page_size, database.integer("PRAGMA page_size"));
  return (pages - unused) * page_size;
}

}  // namespace fms::cache

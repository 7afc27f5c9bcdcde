#include "cache/schema.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "cache/tables.h"

namespace fms::cache {
namespace {

// Object code stands apart from what describes it, so that listing and collecting read no code. The
// columns of `kernel` that its checksum doesn't cover stand last. STRICT: a value of another type
// is refused at the door.
constexpr char kTables[] = R"sql(
CREATE TABLE kernel(
  id INTEGER PRIMARY KEY,
  key BLOB NOT NULL UNIQUE,
  template TEXT NOT NULL,
  specialization TEXT NOT NULL,
  target TEXT NOT NULL,
  format TEXT NOT NULL,
  entry TEXT NOT NULL,
  compiler TEXT NOT NULL,
  resources TEXT NOT NULL,
  compile_ms REAL NOT NULL,
  error_code TEXT NOT NULL,
  error_message TEXT NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  checksum BLOB NOT NULL,
  last_used INTEGER NOT NULL,
  hits INTEGER NOT NULL
) STRICT;
CREATE INDEX kernel_by_compiler ON kernel(compiler, last_used) WHERE error_code = '';
CREATE TABLE content(
  id INTEGER PRIMARY KEY,
  key_fields TEXT NOT NULL,
  log TEXT NOT NULL,
  code BLOB NOT NULL
) STRICT;
CREATE TABLE counter(
  name TEXT NOT NULL PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE note(
  name TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
)sql";

constexpr char kTuningTable[] = R"sql(
CREATE TABLE tuning(
  id INTEGER PRIMARY KEY,
  template TEXT NOT NULL,
  digest TEXT NOT NULL,
  target TEXT NOT NULL,
  device TEXT NOT NULL,
  compiler TEXT NOT NULL,
  problem TEXT NOT NULL,
  choice TEXT NOT NULL,
  evidence TEXT NOT NULL,
  created INTEGER NOT NULL,
  checksum BLOB NOT NULL,
  UNIQUE(template, digest, target, device, compiler, problem)
) STRICT;
)sql";

constexpr char kSchemaText[] =
    "SELECT group_concat(type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, ''), "
    "char(10)) FROM (SELECT * FROM sqlite_schema ORDER BY type, name)";

SqlResult<Database> fill(const std::filesystem::path& file) {
  FMS_TRY(Database database, Database::open(file, Access::kReadWrite, std::chrono::seconds(5)));
  // Page size and auto_vacuum can be chosen only while the file is empty. With pages of 8 KiB a
  // cubin of 100 KB is 13 reads; larger pages make each noted use write more.
  FMS_TRY_VOID(
      database.execute("PRAGMA page_size=8192; PRAGMA auto_vacuum=INCREMENTAL;"
                       "PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF;"
                       "BEGIN EXCLUSIVE"));
  FMS_TRY_VOID(database.execute(kTables));
  const std::string ids = fmt::format("PRAGMA application_id={}; PRAGMA user_version={}; COMMIT",
                                      kApplicationId, kFirstSchema);
  FMS_TRY_VOID(database.execute(ids.c_str()));
  return database;
}

// What a schema's tables are, in the words of the SQLite that is linked here.
SqlResult<std::string> expected_schema(bool with_tunings) {
  FMS_TRY(Database memory, Database::open_memory());
  FMS_TRY_VOID(memory.execute(kTables));
  if (with_tunings) FMS_TRY_VOID(memory.execute(kTuningTable));
  return memory.text(kSchemaText);
}

}  // namespace

SqlResult<Identity> identify(Database& database) {
  const auto damaged = [](const SqlError& error) { return error.kind == SqlFailure::kDamaged; };
  const auto id = database.integer("PRAGMA application_id");
  const auto version = id ? database.integer("PRAGMA user_version") : id;
  // Who uses the file is asked only where it isn't ours: each statement takes as long as a lookup.
  const bool ours = version && *id == kApplicationId;
  const auto tables =
      version && !ours ? database.integer("SELECT count(*) FROM sqlite_schema") : version;
  if (!tables) {
    if (damaged(tables.error())) return Identity::kDamaged;
    return std::unexpected(tables.error());
  }
  if (!ours) return *id == 0 && *tables == 0 ? Identity::kDamaged : Identity::kForeign;
  if (*version > kSchemaVersion) return Identity::kNewer;
  if (*version < kFirstSchema) return Identity::kDamaged;
  // Each table and column is named here, so that a file without one of them is found out.
  auto sound = prepare_lookups(database);
  if (sound && *version > kFirstSchema) {
    sound = database.execute(
        "SELECT id, template, digest, target, device, compiler, problem, choice, evidence, created,"
        " checksum FROM tuning LIMIT 0");
  }
  if (!sound) {
    if (damaged(sound.error())) return Identity::kDamaged;
    return std::unexpected(sound.error());
  }
  return Identity::kOurs;
}

SqlResult<bool> has_exact_schema(Database& database) {
  FMS_TRY(const bool with_tunings, has_tuning_table(database));
  FMS_TRY(const std::string expected, expected_schema(with_tunings));
  FMS_TRY(const std::string actual, database.text(kSchemaText));
  return actual == expected;
}

SqlResult<bool> has_tuning_table(Database& database) {
  FMS_TRY(const std::int64_t version, database.integer("PRAGMA user_version"));
  return version > kFirstSchema;
}

SqlResult<void> add_tuning_table(Database& database) {
  FMS_TRY(const bool has_it, has_tuning_table(database));
  if (has_it) return {};
  FMS_TRY_VOID(database.execute(kTuningTable));
  const std::string version = fmt::format("PRAGMA user_version={}", kSchemaVersion);
  return database.execute(version.c_str());
}

Result<Database> make_database(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0)
    return fail(ErrorCode::kIo,
                fmt::format("can't make {}: {}; make its folder writable, or choose another",
                            file.string(), std::strerror(errno)));
  ::close(fd);
  auto database = fill(file);
  if (!database)
    return std::unexpected(to_error(fmt::format("can't make {}", file.string()), database.error()));
  return *std::move(database);
}

}  // namespace fms::cache

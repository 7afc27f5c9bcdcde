#include "cache/sqlite.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace fms::cache {
namespace {

// No row of ours comes near this; a damaged length or a hostile file could ask for 1 GB.
constexpr int kMaxRowBytes = 160 << 20;

bool is_full(int code, int system_errno) {
  if ((code & 0xff) == SQLITE_FULL) return true;
  return (code & 0xff) == SQLITE_IOERR &&
         (system_errno == ENOSPC || system_errno == EDQUOT || system_errno == EFBIG);
}

SqlFailure classify(int code, int system_errno) {
  if (is_full(code, system_errno)) return SqlFailure::kFull;
  if (code == SQLITE_READONLY_DBMOVED) return SqlFailure::kMoved;
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
    case SQLITE_INTERRUPT:
      return SqlFailure::kBusy;
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return SqlFailure::kReadOnly;
    case SQLITE_NOMEM:
      return SqlFailure::kMemory;
    // All SQL here is constant, so an error in it, a constraint or a type that doesn't fit mean
    // that the tables aren't the ones it was written for.
    case SQLITE_ERROR:
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
      return SqlFailure::kDamaged;
    default:
      return SqlFailure::kIo;
  }
}

std::unexpected<SqlError> sql_failure(sqlite3* handle, int code) {
  const int system_errno = handle != nullptr ? sqlite3_system_errno(handle) : 0;
  std::string message = handle != nullptr ? sqlite3_errmsg(handle) : sqlite3_errstr(code);
  if ((code & 0xff) == SQLITE_IOERR && system_errno != 0)
    message = fmt::format("{} ({})", message, std::strerror(system_errno));
  return std::unexpected(SqlError{classify(code, system_errno), std::move(message)});
}

std::string_view advice(SqlFailure kind) {
  switch (kind) {
    case SqlFailure::kBusy:
      return "another process holds the store locked; try again";
    case SqlFailure::kFull:
      return "free space on that disk, or choose another folder with FMS_CACHE_DIR";
    case SqlFailure::kDamaged:
      return "the file is damaged; `fms cache verify` repairs it";
    case SqlFailure::kReadOnly:
      return "make it writable, or choose another folder with FMS_CACHE_DIR";
    case SqlFailure::kMoved:
      return "the file was moved or deleted; try again";
    case SqlFailure::kMemory:
      return "close other programs";
    case SqlFailure::kIo:
      return "check the disk, or choose another folder with FMS_CACHE_DIR";
  }
  return {};
}

ErrorCode code_of(SqlFailure kind) {
  switch (kind) {
    case SqlFailure::kBusy:
      return ErrorCode::kTimeout;
    case SqlFailure::kDamaged:
      return ErrorCode::kCorrupt;
    case SqlFailure::kMemory:
      return ErrorCode::kOutOfMemory;
    default:
      return ErrorCode::kIo;
  }
}

// An absolute path as a URI: '?', '#' and '%' have a meaning there.
std::string to_uri(const std::filesystem::path& file, std::string_view query) {
  std::string uri = "file://";
  for (const char c : file.string()) {
    if (c == '?' || c == '#' || c == '%') {
      uri += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    } else {
      uri += c;
    }
  }
  return uri.append(query);
}

}  // namespace

Error to_error(std::string_view doing, const SqlError& error) {
  return {.code = code_of(error.kind),
          .message = fmt::format("{}: {}; {}", doing, error.message, advice(error.kind))};
}

Statement::~Statement() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

Statement& Statement::bind(int index, std::int64_t value) {
  if (const int code = sqlite3_bind_int64(statement_, index, value)) bind_code_ = code;
  return *this;
}

Statement& Statement::bind(int index, double value) {
  if (const int code = sqlite3_bind_double(statement_, index, value)) bind_code_ = code;
  return *this;
}

Statement& Statement::bind(int index, std::string_view text) {
  // A null pointer would bind NULL, which no column takes.
  const char* data = text.data() != nullptr ? text.data() : "";
  if (const int code =
          sqlite3_bind_text64(statement_, index, data, text.size(), SQLITE_STATIC, SQLITE_UTF8))
    bind_code_ = code;
  return *this;
}

Statement& Statement::bind(int index, std::span<const std::byte> blob) {
  const void* data = blob.data() != nullptr ? static_cast<const void*>(blob.data()) : "";
  if (const int code = sqlite3_bind_blob64(statement_, index, data, blob.size(), SQLITE_STATIC))
    bind_code_ = code;
  return *this;
}

Statement& Statement::bind(int index, std::span<const std::uint8_t> blob) {
  return bind(index, std::as_bytes(blob));
}

SqlResult<bool> Statement::step() {
  sqlite3* handle = sqlite3_db_handle(statement_);
  if (bind_code_ != SQLITE_OK) return sql_failure(handle, std::exchange(bind_code_, SQLITE_OK));
  switch (sqlite3_step(statement_)) {
    case SQLITE_ROW:
      return true;
    case SQLITE_DONE:
      return false;
    default: {
      auto failed = sql_failure(handle, sqlite3_extended_errcode(handle));
      sqlite3_reset(statement_);
      return failed;
    }
  }
}

SqlResult<void> Statement::run() {
  for (;;) {
    FMS_TRY(const bool row, step());
    if (!row) break;
  }
  sqlite3_reset(statement_);
  return {};
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_, column);
}

double Statement::real(int column) const { return sqlite3_column_double(statement_, column); }

std::string_view Statement::text(int column) const {
  // Read as a blob, so that no conversion touches the bytes, zeros among them.
  const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  if (data == nullptr) return {};
  return {data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

std::span<const std::byte> Statement::blob(int column) const {
  const auto* data = static_cast<const std::byte*>(sqlite3_column_blob(statement_, column));
  if (data == nullptr) return {};
  return {data, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

struct Database::Handle {
  sqlite3* sqlite = nullptr;
  std::vector<std::pair<const char*, sqlite3_stmt*>> statements;

  Handle() = default;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    for (const auto& [sql, statement] : statements) sqlite3_finalize(statement);
    sqlite3_close(sqlite);
  }
};

Database::Database(std::unique_ptr<Handle> handle) : handle_(std::move(handle)) {}
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;
Database::~Database() = default;

SqlResult<Database> Database::open(const std::filesystem::path& file, Access access,
                                   std::chrono::milliseconds busy_timeout) {
  auto handle = std::make_unique<Handle>();
  // NOMUTEX: the owner keeps threads apart. NOFOLLOW: the last word on symbolic links.
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_URI;
  flags |= access == Access::kReadWrite ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW
                                        : SQLITE_OPEN_READONLY;
  const std::string uri = to_uri(file, access == Access::kImmutable ? "?immutable=1" : "");
  if (const int code = sqlite3_open_v2(uri.c_str(), &handle->sqlite, flags, nullptr))
    return sql_failure(handle->sqlite, code);
  sqlite3* db = handle->sqlite;
  const auto timeout = std::clamp<std::int64_t>(busy_timeout.count(), 0, 1'000'000'000);
  sqlite3_busy_timeout(db, static_cast<int>(timeout));
  sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, nullptr);
  sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_limit(db, SQLITE_LIMIT_LENGTH, kMaxRowBytes);
  sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
  return Database(std::move(handle));
}

SqlResult<Database> Database::open_memory() {
  auto handle = std::make_unique<Handle>();
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX;
  if (const int code = sqlite3_open_v2(":memory:", &handle->sqlite, flags, nullptr))
    return sql_failure(handle->sqlite, code);
  return Database(std::move(handle));
}

SqlResult<Statement> Database::prepare(const char* sql) {
  for (const auto& [known, statement] : handle_->statements)
    if (known == sql) return Statement(statement);
  sqlite3_stmt* statement = nullptr;
  const int code =
      sqlite3_prepare_v3(handle_->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return sql_failure(handle_->sqlite, code);
  handle_->statements.emplace_back(sql, statement);
  return Statement(statement);
}

SqlResult<void> Database::execute(const char* sql) {
  if (const int code = sqlite3_exec(handle_->sqlite, sql, nullptr, nullptr, nullptr))
    return sql_failure(handle_->sqlite, code);
  return {};
}

SqlResult<std::int64_t> Database::integer(const char* sql) {
  FMS_TRY(Statement statement, prepare(sql));
  FMS_TRY(const bool row, statement.step());
  return row ? statement.integer(0) : 0;
}

SqlResult<std::string> Database::text(const char* sql) {
  FMS_TRY(Statement statement, prepare(sql));
  FMS_TRY(const bool row, statement.step());
  return row ? std::string(statement.text(0)) : std::string();
}

std::int64_t Database::changes() const { return sqlite3_changes64(handle_->sqlite); }

bool Database::writable() const { return sqlite3_db_readonly(handle_->sqlite, "main") == 0; }

void Database::set_checkpoint_on_close(bool on) {
  sqlite3_db_config(handle_->sqlite, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, on ? 0 : 1, nullptr);
}

void Database::abandon() { static_cast<void>(handle_.release()); }

SqlResult<Transaction> Transaction::begin(Database& database) {
  // IMMEDIATE takes the write lock now: a transaction that starts as a reader and then writes can
  // fail with SQLITE_BUSY at once, whatever the timeout is.
  FMS_TRY_VOID(database.execute("BEGIN IMMEDIATE"));
  return Transaction(database);
}

Transaction::~Transaction() {
  // After some errors SQLite has rolled back already; then this fails, harmlessly.
  if (database_ != nullptr) static_cast<void>(database_->execute("ROLLBACK"));
}

SqlResult<void> Transaction::commit() {
  FMS_TRY_VOID(database_->execute("COMMIT"));
  database_ = nullptr;
  return {};
}

}  // namespace fms::cache

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "compiler/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace fms::cache {

// What a store can do about a failure of SQLite: wait, collect, rebuild, open anew, or give up.
enum class SqlFailure {
  kBusy,      // another process holds the lock, past the busy timeout
  kFull,      // no space on the disk, or a quota or file size limit
  kDamaged,   // the file isn't a sound database with our tables
  kReadOnly,  // the file can't be written
  kMoved,     // the file was renamed or deleted under the connection
  kMemory,
  kIo,
};

struct SqlError {
  SqlFailure kind = SqlFailure::kIo;
  std::string message;  // SQLite's own words
};

template <typename T>
class [[nodiscard]] SqlResult : public std::expected<T, SqlError> {
 public:
  using std::expected<T, SqlError>::expected;
};

// `doing: message; advice`, with the code that fits the kind.
Error to_error(std::string_view doing, const SqlError& error);

// A prepared statement, on loan from its Database: reset when it goes out of scope. Indices of
// parameters start at 1, of columns at 0. What is bound by view must live until the last step().
//
// Not thread-safe; the Database must outlive it.
class Statement {
 public:
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  Statement(Statement&& other) noexcept
      : statement_(std::exchange(other.statement_, nullptr)), bind_code_(other.bind_code_) {}
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  Statement& bind(int index, std::int64_t value);
  Statement& bind(int index, double value);
  Statement& bind(int index, std::string_view text);
  Statement& bind(int index, std::span<const std::byte> blob);
  Statement& bind(int index, std::span<const std::uint8_t> blob);

  SqlResult<bool> step();  // true: there is a row
  SqlResult<void> run();   // steps to the end, then is ready to be bound again

  // Of the current row. A view lives until the next step.
  std::int64_t integer(int column) const;
  double real(int column) const;
  std::string_view text(int column) const;
  std::span<const std::byte> blob(int column) const;
  bool is_null(int column) const;

 private:
  sqlite3_stmt* statement_;
  int bind_code_ = 0;
};

enum class Access {
  kReadWrite,
  kReadOnly,   // others may write meanwhile
  kImmutable,  // nobody writes: no locks, no journal, no file is made beside it
};

// One connection to one SQLite file. Never makes the file. Hardened: defensive, no trusted schema,
// no triggers, no views, bounded sizes; so a hostile file is no worse than a damaged one. Doesn't
// map the file into memory, where truncation by another process would be a SIGBUS.
//
// Not thread-safe. Must not be used, or destroyed, in a child of the process that opened it.
class Database {
 public:
  // REQUIRES: `file` is absolute. The busy timeout stands before the first byte is read.
  static SqlResult<Database> open(const std::filesystem::path& file, Access access,
                                  std::chrono::milliseconds busy_timeout);
  static SqlResult<Database> open_memory();
  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  // Statements are prepared once and kept by the address of `sql`, which must be a constant. One
  // loan of each at a time.
  SqlResult<Statement> prepare(const char* sql);
  SqlResult<void> execute(const char* sql);
  SqlResult<std::int64_t> integer(const char* sql);  // of the first row's first column
  SqlResult<std::string> text(const char* sql);

  std::int64_t changes() const;  // rows that the last statement changed
  bool writable() const;

  // Whether closing the last connection folds the write-ahead log into the file and deletes it by
  // name. Off at first: a file that isn't known to be ours isn't to be touched.
  void set_checkpoint_on_close(bool on);

  // Forgets the connection without closing it: what a forked child must do.
  void abandon();

 private:
  struct Handle;
  explicit Database(std::unique_ptr<Handle> handle);
  std::unique_ptr<Handle> handle_;
};

// A write transaction; rolled back unless it is committed. The Database must outlive it.
class Transaction {
 public:
  static SqlResult<Transaction> begin(Database& database);
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

  SqlResult<void> commit();

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  Database* database_;
};

}  // namespace fms::cache

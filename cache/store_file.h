#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "cache/folder.h"
#include "cache/sqlite.h"
#include "compiler/result.h"

namespace fms::cache {

// Where a store is, and how it is to be opened.
struct StoreFile {
  std::filesystem::path file;  // without symbolic links
  bool read_only = false;
  bool bundle = false;  // read only: a file that was named, which nobody writes
  bool allow_wal = true;
  std::chrono::milliseconds busy_timeout{5000};
  std::function<void(std::string)> warn;  // never empty

  std::filesystem::path beside(std::string_view suffix) const {
    return std::filesystem::path(file) += suffix;
  }
  std::filesystem::path lock_file() const { return file.parent_path() / "kernels.lock"; }
};

// An open store whose identity and schema were found good.
struct OpenStore {
  Database database;
  FileIdentity identity;
  std::string_view journal_mode;  // "wal", "delete"
  bool immutable = false;
  bool wrote_records = false;
  std::string distrusted;  // why no code for a CPU is taken from it; empty: it is

  // False if the path now names another file, or none; for an immutable one, other contents too.
  bool still_there(const StoreFile& where) const;
};

// Opens a writable store; makes it if there is none, moves it aside and makes another if what is
// there is damaged beyond use. Any number of processes may do so at once.
Result<OpenStore> open_store(const StoreFile& where);

// Opens one that is never written.
Result<OpenStore> open_store_read_only(const StoreFile& where);

// One more connection to a store that open_store() has opened, for long work.
SqlResult<Database> connect(const StoreFile& where, const OpenStore& like);

// Closes a store. The last to close it folds its log into the file, if there is much in it and the
// path still names the file: the log is deleted by name, and may be another file's by now.
void close_store(const StoreFile& where, OpenStore store);

// Moves a damaged store aside, to kernels.db.corrupt or .corrupt.1, .corrupt.2, and makes a fresh
// one with those of its records that can still be read. Does nothing if another process has
// replaced `damaged` already. Returns how many records were kept.
Result<std::int64_t> replace_damaged(const StoreFile& where, const FileIdentity& damaged);

}  // namespace fms::cache

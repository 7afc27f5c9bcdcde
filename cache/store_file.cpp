#include "cache/store_file.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <system_error>

#include "cache/lock_file.h"
#include "cache/salvage.h"
#include "cache/schema.h"

namespace fms::cache {
namespace {

namespace fs = std::filesystem;

constexpr int kAttempts = 4;
constexpr int kKeptAside = 3;

// Folding the log waits for the disk, some 20 ms. A process that only found kernels, and wrote no
// more than counts, leaves that to another, until the log is long enough to slow opening down.
constexpr std::int64_t kLogLeftBehind = 256 << 10;

void remove_quietly(const fs::path& file) {
  std::error_code ignored;
  fs::remove(file, ignored);
}

Error cant(const StoreFile& where, ErrorCode code, std::string_view why) {
  return {.code = code,
          .message = fmt::format("can't open the kernel store {}: {}", where.file.string(), why)};
}

Error cant(const StoreFile& where, const SqlError& error) {
  return to_error(fmt::format("can't open the kernel store {}", where.file.string()), error);
}

// Journal and durability of a connection to a store. Sets WAL or a rollback journal if the file has
// the other; what can't be had is no failure, since either one is sound on a local disk.
SqlResult<std::string_view> configure(Database& database, bool wal) {
  FMS_TRY(std::string mode, database.text("PRAGMA journal_mode"));
  if (wal && mode != "wal") {
    if (auto changed = database.text("PRAGMA journal_mode=WAL")) mode = *std::move(changed);
  } else if (!wal && mode == "wal") {
    FMS_TRY(mode, database.text("PRAGMA journal_mode=DELETE"));
  }
  // A crash of the system may lose the last commits under WAL with NORMAL, never the file; a
  // rollback journal needs FULL for that.
  FMS_TRY_VOID(database.execute(mode == "wal" ? "PRAGMA synchronous=NORMAL;"
                                                "PRAGMA journal_size_limit=33554432"
                                              : "PRAGMA synchronous=FULL"));
  return mode == "wal" ? std::string_view("wal") : std::string_view("delete");
}

bool wants_wal(const StoreFile& where) {
  return where.allow_wal && !on_network_file_system(where.file.parent_path());
}

// Makes kernels.db out of `fresh`, a database that nobody has open. REQUIRES: the replacing lock,
// and no kernels.db.
Result<void> put_in_place(const StoreFile& where, Database fresh, const fs::path& fresh_file) {
  if (wants_wal(where)) {
    // Written to the file, so that those who open it find it so and don't have to ask.
    static_cast<void>(fresh.text("PRAGMA journal_mode=WAL"));
    fresh.set_checkpoint_on_close(true);
  }
  { const Database closed = std::move(fresh); }
  FMS_TRY_VOID(sync_file(fresh_file));
  // A log left by a store that was deleted would be taken for this one's, and replayed into it.
  for (const char* suffix : {"-wal", "-shm", "-journal"}) remove_quietly(where.beside(suffix));
  if (std::rename(fresh_file.c_str(), where.file.c_str()) != 0)
    return std::unexpected(cant(where, ErrorCode::kIo, std::strerror(errno)));
  return sync_file(where.file.parent_path());
}

Result<LockFile> lock_for_replacing(const StoreFile& where) {
  return LockFile::acquire(where.lock_file(), Guarded::kReplacing,
                           where.busy_timeout + std::chrono::seconds(5));
}

// Made whole under another name, then renamed: nobody ever sees half a store.
Result<void> make_store(const StoreFile& where) {
  FMS_TRY(const LockFile lock, lock_for_replacing(where));
  if (identity_of(where.file)) return {};
  const fs::path fresh_file = where.beside(".new");
  remove_quietly(fresh_file);
  FMS_TRY(Database fresh, make_database(fresh_file));
  return put_in_place(where, std::move(fresh), fresh_file);
}

// Moves the file and its log to the first free name. REQUIRES: the replacing lock.
Result<fs::path> move_aside(const StoreFile& where) {
  fs::path aside = where.beside(".corrupt");
  for (int n = 1; n < kKeptAside && identity_of(aside); ++n)
    aside = where.beside(fmt::format(".corrupt.{}", n));
  if (std::rename(where.file.c_str(), aside.c_str()) != 0)
    return std::unexpected(cant(where, ErrorCode::kIo,
                                fmt::format("it is damaged and can't be moved aside: {}; remove it",
                                            std::strerror(errno))));
  for (const char* suffix : {"-wal", "-journal"}) {
    const fs::path log_aside = fs::path(aside) += suffix;
    remove_quietly(log_aside);
    static_cast<void>(std::rename(where.beside(suffix).c_str(), log_aside.c_str()));
  }
  remove_quietly(where.beside("-shm"));
  return aside;
}

// One attempt. Nothing: the file was missing or damaged, was replaced, and is to be opened again.
Result<std::optional<OpenStore>> try_open(const StoreFile& where) {
  auto identity = identity_of(where.file);
  if (!identity) {
    if (identity.error().code != ErrorCode::kNotFound) return std::unexpected(identity.error());
    FMS_TRY_VOID(make_store(where));
    // Before the file is opened: if it is replaced in between, the connection looks moved, and is
    // opened once more; the other way round it would never be noticed.
    FMS_TRY(identity, identity_of(where.file));
  }
  FMS_TRY_VOID(check_own_file(where.file));
  auto database = Database::open(where.file, Access::kReadWrite, where.busy_timeout);
  auto whose =
      database ? identify(*database) : SqlResult<Identity>(std::unexpected(database.error()));
  if (!whose) return std::unexpected(cant(where, whose.error()));
  switch (*whose) {
    case Identity::kNewer:
      return std::unexpected(cant(where, ErrorCode::kUnsupported,
                                  "a newer version of this program made it; it is left as it is. "
                                  "Update, or choose another folder with FMS_CACHE_DIR"));
    case Identity::kForeign:
      return std::unexpected(cant(where, ErrorCode::kInvalidArgument,
                                  "it is another program's database, and is left as it is; choose "
                                  "another folder with FMS_CACHE_DIR"));
    case Identity::kDamaged: {
      {
        const Database closed = *std::move(database);
      }
      FMS_TRY_VOID(replace_damaged(where, *identity));
      return std::optional<OpenStore>();
    }
    case Identity::kOurs:
      break;
  }
  if (!database->writable())
    return std::unexpected(cant(where, {SqlFailure::kReadOnly, "the file can't be written"}));
  auto mode = configure(*database, wants_wal(where));
  if (!mode) return std::unexpected(cant(where, mode.error()));
  return std::optional(
      OpenStore{.database = *std::move(database), .identity = *identity, .journal_mode = *mode});
}

bool is_still(const StoreFile& where, const Result<FileIdentity>& before) {
  const auto now = identity_of(where.file);
  return now && before ? now->same_file(*before) : now.has_value() == before.has_value();
}

Result<OpenStore> open_as(const StoreFile& where, Access access) {
  FMS_TRY(const FileIdentity identity, identity_of(where.file));
  const auto trusted = check_trusted_file(where.file);
  auto database = Database::open(where.file, access, where.busy_timeout);
  auto whose =
      database ? identify(*database) : SqlResult<Identity>(std::unexpected(database.error()));
  if (!whose) return std::unexpected(cant(where, whose.error()));
  if (*whose == Identity::kNewer)
    return std::unexpected(
        cant(where, ErrorCode::kUnsupported, "a newer version of this program made it; update"));
  if (*whose == Identity::kForeign)
    return std::unexpected(
        cant(where, ErrorCode::kInvalidArgument, "it is another program's database"));
  if (*whose == Identity::kDamaged)
    return std::unexpected(
        cant(where, ErrorCode::kCorrupt, "it isn't a sound kernel store; make it anew"));
  const auto mode = database->text("PRAGMA journal_mode");
  if (!mode) return std::unexpected(cant(where, mode.error()));
  return OpenStore{.database = *std::move(database),
                   .identity = identity,
                   .journal_mode = *mode == "wal" ? "wal" : "delete",
                   .immutable = access == Access::kImmutable,
                   .distrusted = trusted ? std::string() : trusted.error().message};
}

}  // namespace

bool OpenStore::still_there(const StoreFile& where) const {
  const auto now = identity_of(where.file);
  // Trouble with reading the folder says nothing about the file that is open.
  if (!now) return now.error().code != ErrorCode::kNotFound;
  return immutable ? *now == identity : now->same_file(identity);
}

Result<OpenStore> open_store(const StoreFile& where) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const auto before = identity_of(where.file);
    auto store = try_open(where);
    if (store && *store) return **std::move(store);
    // Another process may have moved the file aside, or put a new one there, in the middle of this.
    if (!store && (attempt == kAttempts - 1 || is_still(where, before)))
      return std::unexpected(std::move(store).error());
  }
  return std::unexpected(cant(where, ErrorCode::kCorrupt,
                              "it was damaged each time it was made anew; check the disk"));
}

Result<OpenStore> open_store_read_only(const StoreFile& where) {
  FMS_TRY_VOID(check_shared_file(where.file));
  const auto log = identity_of(where.beside("-wal"));
  const bool has_log = log && log->size > 0;
  // SQLite locks and, under WAL, makes files beside the store even to read it. Where that can't be,
  // the file must be taken for one that nobody writes; if it is written nevertheless, a record that
  // was read half old, half new fails its checksum.
  if (has_log || (!where.bundle && folder_is_writable(where.file.parent_path()))) {
    auto live = open_as(where, Access::kReadOnly);
    if (live) return live;
    if (live.error().code != ErrorCode::kIo && live.error().code != ErrorCode::kTimeout)
      return live;
    if (has_log)
      where.warn(
          fmt::format("{}: the last {} bytes written are still in its log, which can't be "
                      "read here, and are not seen; open the store once where it is writable",
                      where.file.string(), log->size));
  }
  return open_as(where, Access::kImmutable);
}

SqlResult<Database> connect(const StoreFile& where, const OpenStore& like) {
  Access access = where.read_only ? Access::kReadOnly : Access::kReadWrite;
  if (like.immutable) access = Access::kImmutable;
  FMS_TRY(Database database, Database::open(where.file, access, where.busy_timeout));
  if (!where.read_only) FMS_TRY_VOID(configure(database, like.journal_mode == "wal"));
  return database;
}

void close_store(const StoreFile& where, OpenStore store) {
  if (where.read_only || !store.still_there(where)) return;
  const auto log = identity_of(where.beside("-wal"));
  const bool fold = store.wrote_records || (log && log->size > kLogLeftBehind);
  store.database.set_checkpoint_on_close(fold);
}

Result<std::int64_t> replace_damaged(const StoreFile& where, const FileIdentity& damaged) {
  FMS_TRY(const LockFile lock, lock_for_replacing(where));
  const auto current = identity_of(where.file);
  if (!current || !current->same_file(damaged)) return 0;
  const fs::path fresh_file = where.beside(".new");
  remove_quietly(fresh_file);
  FMS_TRY(Database fresh, make_database(fresh_file));
  const std::int64_t kept = salvage(where.file, fresh);
  FMS_TRY(const fs::path aside, move_aside(where));
  FMS_TRY_VOID(put_in_place(where, std::move(fresh), fresh_file));
  where.warn(fmt::format("{} was damaged: moved to {}, {} records kept", where.file.string(),
                         aside.filename().string(), kept));
  return kept;
}

}  // namespace fms::cache

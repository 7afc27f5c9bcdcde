#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cache/tuning.h"
#include "compiler/compile_request.h"
#include "compiler/digest.h"
#include "compiler/object_code.h"
#include "compiler/result.h"

namespace fms {

// Why a compile failed, kept so that the next process doesn't repeat it.
struct StoredFailure {
  Error error;           // kCompileFailed or kRejected
  std::string compiler;  // fingerprint
};

// What stands in the store under a key, beside the code or the failure itself.
struct StoreRecord {
  std::string template_name;   // "attention_forward_simt"
  std::string specialization;  // Specialization::to_string()
  std::vector<KeyField> key_fields;
};

// What a key leads to.
enum class Presence { kNothing, kCode, kFailure };

// One line of `fms cache list`.
struct StoreEntry {
  Digest key;
  std::string template_name, specialization, target, format, compiler;
  bool failed = false;
  std::int64_t bytes = 0;
  double compile_ms = 0;
  std::int64_t created = 0, last_used = 0;  // seconds since 1970
};

// Counted over all processes since the store was made, or since clear().
struct StoreStats {
  std::int64_t entries = 0, bytes = 0;  // now
  std::int64_t failed_entries = 0;      // now
  std::int64_t hits = 0, misses = 0, compiles = 0, failures = 0, corrupt_removed = 0, evicted = 0;
  double compile_ms_spent = 0, compile_ms_saved = 0;
};

struct StoreOptions {
  std::int64_t max_bytes = std::int64_t{2}
                           << 30;  // object code, over which gc() evicts; 0: no limit
  std::chrono::milliseconds busy_timeout{5000};
  std::chrono::seconds failure_lifetime{7 * 24 * 3600};  // a stored failure expires
  // False: a rollback journal, as on network file systems, where WAL doesn't work.
  bool allow_wal = true;
  std::function<void(std::string_view)> warn;  // where trouble is told; may be empty
  std::function<std::int64_t()> now;           // seconds since 1970; empty: the clock. For tests
};

struct VerifyReport {
  std::int64_t checked = 0, corrupt = 0;
  std::vector<std::string> messages;  // one for each corrupt record
};

struct GcReport {
  bool ran = false;  // false: another process is collecting, or the tier is read-only
  std::int64_t evicted = 0, bytes_freed = 0;
};

struct ImportOptions {
  // Code for a CPU is executed with the rights of whoever loads it, and a bundle can't prove who
  // made it: such records are skipped unless the caller answers for them.
  bool trust_host_code = false;
};

struct ImportReport {
  std::int64_t added = 0, present = 0;
  std::int64_t host_code_skipped = 0;
  std::int64_t tunings_added = 0, tunings_present = 0;
};

// Keeps compiled kernels on disk, from one process to the next: one SQLite file.
//
// A lookup never fails its caller (law 3): a damaged, truncated or unreadable record is a miss.
// What is damaged is removed and counted; an I/O error removes nothing. Only open() can fail, and a
// caller without a store goes on in memory.
//
// Thread-safe. Any number of processes may share one file; the last put() of a key wins, which is
// harmless, since equal keys mean interchangeable code. After a fork the child opens the file anew
// at its first use. The format is described, and held by golden files, in cache/README.md.
class KernelStore {
 public:
  // Opens `directory`/kernels.db, making both if they don't exist (0700 and 0600). Refuses a
  // directory that is a symbolic link, isn't the user's, or may be written by others, and a store
  // whose schema is newer (left untouched). A file that isn't a database at all is moved aside to
  // kernels.db.corrupt.
  static Result<std::unique_ptr<KernelStore>> open(const std::filesystem::path& directory,
                                                   StoreOptions options = {});

  // Opens a store or a bundle that is never written, not even to note a use: `path` is a directory
  // with kernels.db or a bundle file. Works on read-only media. The owner may be another user, but
  // a file that others than its owner and root may write is refused. Code for a CPU is served only
  // if owner and folders are this user's or root's; else it is a miss, and a warning says why.
  static Result<std::unique_ptr<KernelStore>> open_read_only(const std::filesystem::path& path,
                                                             StoreOptions options = {});
  ~KernelStore();  // writes what is still to be noted, as far as it can

  // The object code, or the failure, under a key; checked against its checksum and against the
  // record's own key. Nothing: a miss. A failure of another compiler build or past its expiry is a
  // miss.
  using Found = std::variant<ObjectCode, StoredFailure>;
  std::optional<Found> find(const Digest& key);

  // What stands under a key. Reads no code, so it checks none; counts as no use, and as no miss.
  Presence presence(const Digest& key);

  // Keeps `object`. False (and a warning) if it couldn't be written. Counts one compile. May
  // collect.
  bool put(const Digest& key, const ObjectCode& object, const StoreRecord& record);
  // Keeps a failure. Only kCompileFailed and kRejected are kept: anything else returns false.
  bool put_failure(const Digest& key, const StoredFailure& failure, const StoreRecord& record,
                   const Target& target);

  // A small note that outlives the process, by name: which fingerprint a toolkit had, for instance.
  // Never a source of truth. Names up to 200 bytes, values up to 64 KiB.
  std::optional<std::string> find_note(std::string_view name);
  bool put_note(std::string_view name, std::string_view value);

  // Fingerprints of the compilers whose code is here, latest used first: what a machine with no
  // compiler looks keys up by (law 5).
  std::vector<std::string> compilers();

  // Marks this compiler as the current one of its name, which is the fingerprint's first word: all
  // others of that name are obsolete, and evicted first.
  void set_current_compiler(std::string_view fingerprint);

  // Keeps a choice that was measured, over what was known for the same. False (and a warning) if it
  // couldn't be written. A store that is given its first one is from then on of a schema that older
  // programs leave untouched (cache/README.md).
  bool put_tuning(Tuning tuning);
  // All that are sound. May fail, unlike find(): its callers have a choice without.
  Result<std::vector<Tuning>> tunings();
  // Removes those that `which` wants; all without it. Returns how many.
  Result<std::int64_t> remove_tunings(const std::function<bool(const Tuning&)>& which = {});

  // For people and tools. An I/O error is reported here: these may fail.
  Result<std::vector<StoreEntry>> list();
  Result<StoreStats> stats();
  // The entry whose key starts with `hex_prefix` and its key fields; kNotFound, or kInvalidArgument
  // if several do.
  Result<std::pair<StoreEntry, StoreRecord>> explain(std::string_view hex_prefix);
  // Of the entries of the same template, the one that differs from `fields` in the fewest, if any.
  Result<std::optional<std::pair<StoreEntry, StoreRecord>>> nearest(
      std::string_view template_name, std::span<const KeyField> fields, const Digest& not_this);
  Result<VerifyReport> verify();  // reads every record; corrupt ones are removed
  // Evicts down to 90 % of max_bytes (or of `limit`): obsolete compilers first, then what saves the
  // fewest compile-seconds for its bytes. One collector at a time over all processes. Gives pages
  // back to the disk.
  Result<GcReport> gc(std::optional<std::int64_t> limit = {});
  // Removes every entry and zeroes the counts; returns how many. Notes and tunings stay.
  Result<std::int64_t> clear();

  // Writes a bundle: one self-contained file of the same format, of all entries or of those that
  // `keep` wants; with the tunings of their templates, targets and compilers. Failures stay behind.
  // Replaces `file` whole or not at all. Returns how many entries.
  Result<std::int64_t> export_bundle(const std::filesystem::path& file,
                                     const std::function<bool(const StoreEntry&)>& keep = {});
  // Checks every record of a bundle, then adds them all in one transaction, or none; but those that
  // `options` skips. A tuning doesn't replace one that was measured here.
  Result<ImportReport> import_bundle(const std::filesystem::path& file,
                                     const ImportOptions& options = {});

  void flush();  // writes what is still to be noted (hits, uses) now

  const std::filesystem::path& path() const;  // of the database file
  bool read_only() const;
  std::string_view journal_mode() const;  // "wal", "delete"

 private:
  struct State;
  explicit KernelStore(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace fms

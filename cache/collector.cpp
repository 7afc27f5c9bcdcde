#include "cache/collector.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "cache/lock_file.h"

namespace fms::cache {
namespace {

// Uses older than this say nothing about tomorrow.
constexpr std::int64_t kRecentSeconds = 30 * 24 * 3600;

// Records evicted in one transaction: others get to write in between.
constexpr std::size_t kBatch = 64;

struct Candidate {
  std::int64_t id, bytes, last_used;
  Digest checksum;
  bool obsolete;
  double worth;  // compile-milliseconds saved for each byte kept
};

Candidate candidate_of(const Record& record, const CurrentCompilers& current, std::int64_t now) {
  const bool recent = now - record.last_used < kRecentSeconds;
  const double uses = 1.0 + (recent ? static_cast<double>(record.hits) : 0.0);
  return {.id = record.id,
          .bytes = record.bytes,
          .last_used = record.last_used,
          .checksum = record.checksum,
          .obsolete = current.makes_obsolete(record.compiler),
          .worth = record.compile_ms * uses /
                   static_cast<double>(std::max<std::int64_t>(record.bytes, 1))};
}

// The order in which records go.
bool goes_before(const Candidate& a, const Candidate& b) {
  if (a.obsolete != b.obsolete) return a.obsolete;
  if (a.worth != b.worth) return a.worth < b.worth;
  if (a.last_used != b.last_used) return a.last_used < b.last_used;
  return a.id < b.id;
}

SqlResult<void> evict_batch(Database& database, std::span<const Candidate> batch,
                            GcReport& report) {
  FMS_TRY(Transaction transaction, Transaction::begin(database));
  GcReport more;
  for (const Candidate& candidate : batch) {
    // A record that was put again since it was listed has another checksum, and stays.
    FMS_TRY(const std::int64_t removed, remove_record(database, candidate.id, candidate.checksum));
    more.evicted += removed;
    more.bytes_freed += removed * candidate.bytes;
  }
  FMS_TRY_VOID(add_counts(database, {.evicted = more.evicted}));
  FMS_TRY_VOID(transaction.commit());
  report.evicted += more.evicted;
  report.bytes_freed += more.bytes_freed;
  return {};
}

SqlResult<void> remove_expired(Database& database, std::int64_t now) {
  FMS_TRY(Transaction transaction, Transaction::begin(database));
  FMS_TRY_VOID(remove_expired_failures(database, now));
  // Content whose record is gone; a damaged row may leave it.
  FMS_TRY_VOID(
      database.execute("DELETE FROM content WHERE id NOT IN (SELECT id FROM kernel NOT INDEXED)"));
  return transaction.commit();
}

SqlResult<void> evict(Database& database, const CollectGoal& goal, const CurrentCompilers& current,
                      std::int64_t now, GcReport& report) {
  std::vector<Candidate> candidates;
  std::int64_t bytes = 0;
  {
    FMS_TRY(const std::vector<Record> records, list_records(database));
    for (const Record& record : records) {
      if (record.failed()) continue;
      candidates.push_back(candidate_of(record, current, now));
      bytes += record.bytes;
    }
  }
  std::int64_t target = bytes;
  if (goal.limit) target = std::min(target, *goal.limit - *goal.limit / 10);
  if (goal.make_room) target = std::min(target, bytes - bytes / 4);
  std::ranges::sort(candidates, goes_before);
  std::size_t doomed = 0;
  for (; doomed < candidates.size() && bytes > target; ++doomed) bytes -= candidates[doomed].bytes;
  const std::span<const Candidate> all(candidates);
  for (std::size_t done = 0; done < doomed; done += kBatch)
    FMS_TRY_VOID(evict_batch(database, all.subspan(done, std::min(kBatch, doomed - done)), report));
  return {};
}

}  // namespace

Result<GcReport> collect(StoreState& state, const CollectGoal& goal) {
  GcReport report;
  if (state.where.read_only) return report;
  CurrentCompilers own;
  {
    Session session(state);
    session.reopen_if_moved();
    session.repair_if_damaged();
    static_cast<void>(session.flush());  // so that the latest uses count
    own = state.current_compilers;
  }
  FMS_TRY(Job job, Job::begin(state, "collect"));
  auto lock = LockFile::acquire(state.where.lock_file(), Guarded::kCollecting, {});
  if (!lock && lock.error().code == ErrorCode::kTimeout) return report;
  if (!lock) return std::unexpected(std::move(lock).error());
  report.ran = true;
  Database& database = job.database();
  if (goal.make_room)  // what the log holds twice is room as well
    static_cast<void>(database.text("PRAGMA wal_checkpoint(TRUNCATE)"));
  auto current = read_current_compilers(database);
  if (!current) return job.failed(current.error());
  current->set_all(own);
  const std::int64_t now = state.now();
  if (const auto done = remove_expired(database, now); !done) return job.failed(done.error());
  if (const auto done = evict(database, goal, *current, now, report); !done)
    return job.failed(done.error());
  if (const auto done = release_free_pages(database); !done) return job.failed(done.error());
  return report;
}

SqlResult<bool> over_limit(Database& database, std::int64_t max_bytes) {
  if (max_bytes <= 0) return false;
  // The file is never smaller than what it holds, and its size is known without a scan.
  FMS_TRY(const std::int64_t used, used_file_bytes(database));
  if (used <= max_bytes) return false;
  FMS_TRY(const std::int64_t bytes, database.integer("SELECT sum(bytes) FROM kernel"));
  return bytes > max_bytes;
}

SqlResult<void> release_free_pages(Database& database) {
  FMS_TRY(std::int64_t unused, database.integer("PRAGMA freelist_count"));
  while (unused > 0) {
    FMS_TRY_VOID(database.execute("PRAGMA incremental_vacuum(512)"));
    FMS_TRY(const std::int64_t left, database.integer("PRAGMA freelist_count"));
    if (left >= unused) break;
    unused = left;
  }
  // Under WAL the file itself shrinks only now, as far as readers allow.
  static_cast<void>(database.text("PRAGMA wal_checkpoint(PASSIVE)"));
  return {};
}

}  // namespace fms::cache

// Bundles: stores in one file, to be carried to other machines.

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <set>
#include <system_error>
#include <tuple>
#include <utility>

#include "cache/collector.h"
#include "cache/folder.h"
#include "cache/kernel_store.h"
#include "cache/record.h"
#include "cache/schema.h"
#include "cache/store_state.h"
#include "cache/tuning_table.h"

namespace fms {
namespace {

namespace fs = std::filesystem;

using cache::Database;
using cache::Identity;
using cache::Job;
using cache::Record;
using cache::Session;
using cache::SqlResult;
using cache::StoreState;
using cache::Transaction;
using cache::TuningRow;

constexpr std::int64_t kMaxBundleRecords = 1'000'000;

// A file that is removed unless it has been renamed to what it is to be.
class TemporaryFile {
 public:
  explicit TemporaryFile(fs::path path) : path_(std::move(path)) {}
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  const fs::path& path() const { return path_; }

  bool rename_to(const fs::path& target) {
    if (std::rename(path_.c_str(), target.c_str()) != 0) return false;
    path_.clear();
    return true;
  }

 private:
  fs::path path_;
};

std::unexpected<Error> cant_export(const fs::path& file, std::string_view why) {
  return fail(ErrorCode::kIo, fmt::format("can't export to {}: {}", file.string(), why));
}

// Copies the sound ones of `keys`, in order. Damaged ones stay behind, and are told of.
SqlResult<std::int64_t> copy_records(Database& from, Database& to, std::vector<Digest> keys,
                                     std::vector<std::string>& left_behind) {
  std::ranges::sort(keys);
  FMS_TRY(Transaction transaction, Transaction::begin(to));
  std::int64_t copied = 0;
  for (const Digest& key : keys) {
    FMS_TRY(std::optional<Record> record, cache::read_record(from, key));
    if (!record || record->failed()) continue;
    if (const auto content = cache::decode(*record, key); !content) {
      left_behind.push_back(fmt::format("kernel {} isn't exported: {}", key.hex().substr(0, 12),
                                        content.error().message));
      continue;
    }
    record->last_used = record->created;
    record->hits = 0;
    FMS_TRY_VOID(cache::write_record(to, *record));
    ++copied;
  }
  FMS_TRY_VOID(transaction.commit());
  return copied;
}

// What kernels have in common with the tunings that go with them: template, target and compiler.
using Kin = std::tuple<std::string, std::string, std::string>;

// Copies the sound tunings of these.
SqlResult<void> copy_tunings(Database& from, Database& to, const std::set<Kin>& wanted) {
  FMS_TRY(const std::vector<TuningRow> rows, cache::read_tunings(from));
  FMS_TRY(Transaction transaction, Transaction::begin(to));
  for (const TuningRow& row : rows) {
    const Tuning& tuning = row.tuning;
    if (!wanted.contains(Kin(tuning.template_name, tuning.target, tuning.compiler))) continue;
    if (cache::check(row)) FMS_TRY_VOID(cache::write_tuning(to, tuning));
  }
  return transaction.commit();
}

std::unexpected<Error> cant_import(const fs::path& file, ErrorCode code, std::string_view why) {
  return fail(code, fmt::format("can't import {}: {}", file.string(), why));
}

// Everything about a bundle that isn't in its records.
Result<Database> open_bundle(const fs::path& file) {
  std::error_code error;
  const fs::path path = fs::canonical(file, error);
  if (error)
    return cant_import(
        file, error == std::errc::no_such_file_or_directory ? ErrorCode::kNotFound : ErrorCode::kIo,
        error.message());
  if (!fs::is_regular_file(path, error))
    return cant_import(file, ErrorCode::kInvalidArgument, "it isn't a file");
  // Immutable: neither a journal nor a log that lies beside it is looked at.
  auto bundle = Database::open(path, cache::Access::kImmutable, {});
  const auto whose =
      bundle ? cache::identify(*bundle) : SqlResult<Identity>(std::unexpected(bundle.error()));
  if (!whose)
    return std::unexpected(
        cache::to_error(fmt::format("can't import {}", file.string()), whose.error()));
  if (*whose == Identity::kNewer)
    return cant_import(file, ErrorCode::kUnsupported, "a newer version made it; update");
  if (*whose != Identity::kOurs)
    return cant_import(file, ErrorCode::kCorrupt,
                       "it isn't a bundle; `fms cache export` makes one");
  const auto exact = cache::has_exact_schema(*bundle);
  if (!exact || !*exact)
    return cant_import(file, ErrorCode::kCorrupt, "its tables aren't those of a bundle");
  const auto sound = bundle->text("PRAGMA quick_check(1)");
  if (!sound || *sound != "ok")
    return cant_import(
        file, ErrorCode::kCorrupt,
        fmt::format("it is damaged ({}); copy it again", sound ? *sound : sound.error().message));
  const auto has_tunings = cache::has_tuning_table(*bundle);
  const auto count =
      bundle->integer(has_tunings && *has_tunings ? "SELECT (SELECT count(*) FROM kernel) + "
                                                    "(SELECT count(*) FROM tuning)"
                                                  : "SELECT count(*) FROM kernel");
  if (!count || *count > kMaxBundleRecords)
    return cant_import(file, ErrorCode::kCorrupt,
                       fmt::format("it has more than {} records", kMaxBundleRecords));
  return *std::move(bundle);
}

// Checks one record of a bundle and adds it.
Result<void> import_record(const fs::path& file, Database& bundle, Job& job, std::int64_t id,
                           const ImportOptions& options, std::int64_t now, ImportReport& report) {
  auto record = cache::read_record(bundle, id);
  const auto bad = [&](std::string_view why) {
    const std::string which =
        record && *record ? (*record)->key.hex() : fmt::format("number {}", id);
    return cant_import(file, ErrorCode::kCorrupt,
                       fmt::format("its record {} is bad: {}; nothing was imported", which, why));
  };
  if (!record) return bad(record.error().message);
  if (!*record) return bad("it is listed and isn't there");
  const auto content = cache::decode(**record, (*record)->key);
  if (!content) return bad(content.error().message);
  if (!std::holds_alternative<ObjectCode>(*content)) return bad("it is a failure");
  if (!options.trust_host_code && cache::is_host_code(**record)) {
    ++report.host_code_skipped;
    return {};
  }
  const auto mine = cache::read_record(job.database(), (*record)->key);
  if (!mine) return job.failed(mine.error());
  if (*mine && !(*mine)->failed()) {
    ++report.present;
    return {};
  }
  (*record)->last_used = now;
  (*record)->hits = 0;
  if (const auto written = cache::write_record(job.database(), **record); !written)
    return job.failed(written.error());
  ++report.added;
  return {};
}

// Checks the tunings of a bundle and adds those that this store has none for.
Result<void> import_tunings(const fs::path& file, Database& bundle, Job& job,
                            ImportReport& report) {
  const auto theirs = cache::read_tunings(bundle);
  if (!theirs) return cant_import(file, ErrorCode::kCorrupt, theirs.error().message);
  const auto ours = cache::read_tunings(job.database());
  if (!ours) return job.failed(ours.error());
  const auto holds_for = [](const Tuning& t) {
    return std::tie(t.template_name, t.template_digest, t.target, t.device, t.compiler, t.problem);
  };
  for (const TuningRow& row : *theirs) {
    if (const auto sound = cache::check(row); !sound) {
      return cant_import(file, ErrorCode::kCorrupt,
                         fmt::format("its tuning of {} is bad: {}; nothing was imported",
                                     row.tuning.template_name, sound.error().message));
    }
    const bool present = std::ranges::any_of(*ours, [&](const TuningRow& each) {
      return holds_for(each.tuning) == holds_for(row.tuning);
    });
    if (present) {
      ++report.tunings_present;
      continue;
    }
    if (const auto written = cache::write_tuning(job.database(), row.tuning); !written)
      return job.failed(written.error());
    ++report.tunings_added;
  }
  return {};
}

}  // namespace

Result<std::int64_t> KernelStore::export_bundle(
    const std::filesystem::path& file, const std::function<bool(const StoreEntry&)>& keep) {
  std::error_code error;
  const fs::path target = fs::absolute(file, error);
  if (error || !target.has_filename()) return cant_export(file, "name a file");
  // The caller's function is called out of any Session.
  FMS_TRY(const std::vector<StoreEntry> entries, list());
  std::vector<Digest> keys;
  std::set<Kin> kin;
  for (const StoreEntry& entry : entries) {
    if (entry.failed || (keep && !keep(entry))) continue;
    keys.push_back(entry.key);
    kin.emplace(entry.template_name, entry.target, entry.compiler);
  }

  std::vector<std::string> left_behind;
  std::int64_t copied = 0;
  {
    FMS_TRY(Job job, Job::begin(*state_, "export from"));
    const auto tick = std::chrono::steady_clock::now().time_since_epoch().count();
    const fs::path temporary_path = fs::path(target) +=
        fmt::format(".tmp.{}.{:x}", ::getpid(), tick);
    auto bundle = cache::make_database(temporary_path);
    TemporaryFile temporary(temporary_path);
    if (!bundle) return cant_export(file, bundle.error().message);
    const auto count = copy_records(job.database(), *bundle, std::move(keys), left_behind);
    if (!count) return job.failed(count.error());
    copied = *count;
    if (const auto tunings = copy_tunings(job.database(), *bundle, kin); !tunings)
      return job.failed(tunings.error());
    { const Database closed = *std::move(bundle); }
    if (::chmod(temporary.path().c_str(), 0644) != 0)
      return cant_export(file, std::strerror(errno));
    FMS_TRY_VOID(cache::sync_file(temporary.path()));
    if (!temporary.rename_to(target)) return cant_export(file, std::strerror(errno));
    FMS_TRY_VOID(cache::sync_file(target.parent_path()));
  }
  Session session(*state_);
  for (std::string& message : left_behind) session.warn(std::move(message));
  return copied;
}

Result<ImportReport> KernelStore::import_bundle(const std::filesystem::path& file,
                                                const ImportOptions& options) {
  if (state_->where.read_only)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("can't import into {}: it was opened to be read only",
                            state_->where.file.string()));
  ImportReport report;
  bool crowded = false;
  {
    FMS_TRY(Job job, Job::begin(*state_, "import into"));
    FMS_TRY(Database bundle, open_bundle(file));
    const auto ids = cache::record_ids(bundle);
    if (!ids) return cant_import(file, ErrorCode::kCorrupt, ids.error().message);
    auto transaction = Transaction::begin(job.database());
    if (!transaction) return job.failed(transaction.error());
    // Checked and written one by one, so that what is written is what was checked.
    for (const std::int64_t id : *ids)
      FMS_TRY_VOID(import_record(file, bundle, job, id, options, state_->now(), report));
    FMS_TRY_VOID(import_tunings(file, bundle, job, report));
    if (const auto done = transaction->commit(); !done) return job.failed(done.error());
    const auto over = cache::over_limit(job.database(), state_->options.max_bytes);
    crowded = over && *over;
  }
  if (crowded) FMS_TRY_VOID(gc());
  return report;
}

}  // namespace fms

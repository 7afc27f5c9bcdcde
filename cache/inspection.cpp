// What people and tools ask of a store: lists, counts, explanations, checks.

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "cache/collector.h"
#include "cache/kernel_store.h"
#include "cache/record.h"
#include "cache/store_state.h"
#include "cache/tuning_table.h"

namespace fms {
namespace {

using cache::Database;
using cache::Job;
using cache::Record;
using cache::Session;
using cache::SqlFailure;
using cache::SqlResult;
using cache::StoreState;
using Explained = std::pair<StoreEntry, StoreRecord>;

std::unexpected<Error> cant(std::string_view doing, const StoreState& state,
                            const cache::SqlError& error) {
  return std::unexpected(
      cache::to_error(fmt::format("can't {} {}", doing, state.where.file.string()), error));
}

// The first and the last key that start with these digits.
std::optional<std::pair<Digest, Digest>> keys_starting_with(std::string_view hex) {
  if (hex.empty() || hex.size() > 64) return {};
  std::string first(hex), last(hex);
  first.append(64 - hex.size(), '0');
  last.append(64 - hex.size(), 'f');
  auto low = Digest::from_hex(first), high = Digest::from_hex(last);
  if (!low || !high) return {};
  return std::pair(*low, *high);
}

Result<Explained> explained(const Record& record) {
  FMS_TRY(std::vector<KeyField> fields, cache::decode_key_fields(record.key_fields));
  return Explained(entry_of(record), StoreRecord{.template_name = record.template_name,
                                                 .specialization = record.specialization,
                                                 .key_fields = std::move(fields)});
}

// Labels that are in one only, or have different values.
std::size_t differences(std::span<const KeyField> a, std::span<const KeyField> b) {
  std::map<std::string_view, std::string_view> values;
  for (const KeyField& field : a) values.emplace(field.label, field.summary);
  std::set<std::string_view> different;
  for (const KeyField& field : a) different.insert(field.label);
  for (const KeyField& field : b) {
    const auto found = values.find(field.label);
    if (found != values.end() && found->second == field.summary)
      different.erase(field.label);
    else
      different.insert(field.label);
  }
  return different.size();
}

// Checks one record; a damaged one is removed. Fails only where the file can't be read.
SqlResult<void> verify_one(Database& database, bool read_only, std::int64_t id,
                           VerifyReport& report) {
  const auto record = cache::read_record(database, id);
  if (!record) {
    if (record.error().kind != SqlFailure::kDamaged) return std::unexpected(record.error());
    ++report.checked;
    ++report.corrupt;
    report.messages.push_back(
        fmt::format("record {} can't be read: {}", id, record.error().message));
    return {};
  }
  if (!*record) return {};  // evicted meanwhile
  ++report.checked;
  const auto content = cache::decode(**record, (*record)->key);
  if (content) return {};
  ++report.corrupt;
  report.messages.push_back(fmt::format("{} ({}): {}", (*record)->key.hex(),
                                        (*record)->specialization, content.error().message));
  if (read_only) return {};
  FMS_TRY(auto transaction, cache::Transaction::begin(database));
  FMS_TRY(const std::int64_t removed, cache::remove_record(database, id, (*record)->checksum));
  FMS_TRY_VOID(cache::add_counts(database, {.corrupt_removed = removed}));
  return transaction.commit();
}

// Checks all tunings; damaged ones are removed.
SqlResult<void> verify_tunings(Database& database, bool read_only, VerifyReport& report) {
  FMS_TRY(const std::vector<cache::TuningRow> rows, cache::read_tunings(database));
  for (const cache::TuningRow& row : rows) {
    ++report.checked;
    const auto sound = cache::check(row);
    if (sound) continue;
    ++report.corrupt;
    report.messages.push_back(
        fmt::format("a tuning of {}: {}", row.tuning.template_name, sound.error().message));
    if (read_only) continue;
    FMS_TRY(auto transaction, cache::Transaction::begin(database));
    FMS_TRY_VOID(cache::remove_tuning(database, row.id));
    FMS_TRY_VOID(cache::add_counts(database, {.corrupt_removed = 1}));
    FMS_TRY_VOID(transaction.commit());
  }
  return {};
}

}  // namespace

Result<std::vector<StoreEntry>> KernelStore::list() {
  Session session(*state_);
  session.reopen_if_moved();
  const auto records =
      session.run([](Database& database) { return cache::list_records(database); });
  if (!records) return cant("list", *state_, records.error());
  std::vector<StoreEntry> entries;
  entries.reserve(records->size());
  for (const Record& record : *records) entries.push_back(entry_of(record));
  return entries;
}

Result<StoreStats> KernelStore::stats() {
  Session session(*state_);
  session.reopen_if_moved();
  // What can't be written is added below.
  static_cast<void>(session.flush());
  auto stats = session.run([](Database& database) { return cache::read_stats(database); });
  if (!stats) return cant("count what is in", *state_, stats.error());
  stats->hits += state_->counts.hits;
  stats->misses += state_->counts.misses;
  stats->compile_ms_saved += state_->counts.compile_ms_saved;
  return *std::move(stats);
}

Result<Explained> KernelStore::explain(std::string_view hex_prefix) {
  const auto keys = keys_starting_with(hex_prefix);
  if (!keys)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("'{}' isn't the start of a key: give 1 to 64 hexadecimal digits, as "
                            "`fms cache list` shows them",
                            hex_prefix));
  Session session(*state_);
  session.reopen_if_moved();
  const auto ids = session.run([&](Database& database) {
    return cache::ids_between(database, keys->first, keys->second, 2);
  });
  if (!ids) return cant("read", *state_, ids.error());
  if (ids->size() > 1)
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("several kernels in {} have keys that start with {}; give more digits",
                            state_->where.file.string(), hex_prefix));
  auto record =
      ids->empty() ? SqlResult<std::optional<Record>>() : session.run([&](Database& database) {
        return cache::read_record(database, ids->front());
      });
  if (!record) return cant("read", *state_, record.error());
  if (!*record)
    return fail(ErrorCode::kNotFound, fmt::format("no kernel in {} has a key that starts with {}",
                                                  state_->where.file.string(), hex_prefix));
  return explained(**record);
}

Result<std::optional<Explained>> KernelStore::nearest(std::string_view template_name,
                                                      std::span<const KeyField> fields,
                                                      const Digest& not_this) {
  Session session(*state_);
  session.reopen_if_moved();
  const auto candidates = session.run([&](Database& database) {
    return cache::list_key_fields(database, template_name, not_this);
  });
  if (!candidates) return cant("read", *state_, candidates.error());
  std::optional<std::int64_t> best;
  std::size_t best_differences = 0;
  for (const auto& [id, json] : *candidates) {
    const auto theirs = cache::decode_key_fields(json);
    if (!theirs) continue;
    const std::size_t count = differences(fields, *theirs);
    if (best && count >= best_differences) continue;
    best = id;
    best_differences = count;
  }
  if (!best) return std::optional<Explained>();
  const auto record =
      session.run([&](Database& database) { return cache::read_record(database, *best); });
  if (!record) return cant("read", *state_, record.error());
  if (!*record) return std::optional<Explained>();
  FMS_TRY(Explained found, explained(**record));
  return std::optional(std::move(found));
}

Result<VerifyReport> KernelStore::verify() {
  VerifyReport report;
  const bool read_only = state_->where.read_only;
  FMS_TRY(Job job, Job::begin(*state_, "verify"));
  bool sound = true;
  const auto ids = cache::record_ids(job.database());
  if (!ids && ids.error().kind != SqlFailure::kDamaged) return job.failed(ids.error());
  for (const std::int64_t id : ids.value_or(std::vector<std::int64_t>()))
    if (const auto checked = verify_one(job.database(), read_only, id, report); !checked) {
      if (checked.error().kind != SqlFailure::kDamaged) return job.failed(checked.error());
      sound = false;
    }
  if (const auto checked = verify_tunings(job.database(), read_only, report); !checked) {
    if (checked.error().kind != SqlFailure::kDamaged) return job.failed(checked.error());
    sound = false;
  }
  // The records may be whole where an index isn't.
  const auto structure = job.database().text("PRAGMA integrity_check(1)");
  if (!structure && structure.error().kind != SqlFailure::kDamaged)
    return job.failed(structure.error());
  sound = sound && ids && structure && *structure == "ok";
  if (sound) return report;
  report.corrupt = std::max<std::int64_t>(report.corrupt, 1);
  report.messages.push_back(fmt::format("{} is damaged: {}", state_->where.file.string(),
                                        structure ? *structure : structure.error().message));
  if (read_only) return report;
  Session session(*state_, job.pass());
  if (session.connection()) {
    state_->damaged = true;
    session.repair_if_damaged();
    report.messages.push_back("it was made anew with the records that could be kept");
  }
  return report;
}

Result<GcReport> KernelStore::gc(std::optional<std::int64_t> limit) {
  if (!limit && state_->options.max_bytes > 0) limit = state_->options.max_bytes;
  return cache::collect(*state_, {.limit = limit, .make_room = false});
}

Result<std::int64_t> KernelStore::clear() {
  if (state_->where.read_only)
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("can't clear {}: it was opened to be read only", state_->where.file.string()));
  std::int64_t removed = 0;
  {
    Session session(*state_);
    state_->uses.clear();
    state_->counts = {};
    const auto cleared = session.write_repairing(
        [](Database& database) { return cache::remove_everything(database); });
    if (!cleared) return cant("clear", *state_, cleared.error());
    removed = *cleared;
  }
  FMS_TRY(Job job, Job::begin(*state_, "give back the space of"));
  if (const auto done = cache::release_free_pages(job.database()); !done)
    return job.failed(done.error());
  return removed;
}

}  // namespace fms

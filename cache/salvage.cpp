#include "cache/salvage.h"

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cache/schema.h"
#include "cache/tables.h"
#include "cache/tuning_table.h"

namespace fms::cache {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kBudget{2};

constexpr char kForward[] = "SELECT id FROM kernel NOT INDEXED WHERE id > ?1 ORDER BY id";
constexpr char kBackward[] = "SELECT id FROM kernel NOT INDEXED WHERE id < ?1 ORDER BY id DESC";
constexpr char kNotes[] = "SELECT name, value FROM note";
constexpr char kCounts[] = "SELECT name, value FROM counter";
constexpr char kSetCount[] = "INSERT OR REPLACE INTO counter(name, value) VALUES(?1, ?2)";

// Ids up to the first page that can't be read.
std::vector<std::int64_t> reachable_ids(Database& damaged, const char* sql, std::int64_t from) {
  std::vector<std::int64_t> ids;
  auto statement = damaged.prepare(sql);
  if (!statement) return ids;
  statement->bind(1, from);
  for (;;) {
    const auto row = statement->step();
    if (!row || !*row) return ids;
    ids.push_back(statement->integer(0));
  }
}

// From both ends, since a walk stops at the first bad page.
std::vector<std::int64_t> all_reachable_ids(Database& damaged) {
  std::vector<std::int64_t> ids = reachable_ids(damaged, kForward, 0);
  const std::int64_t last = ids.empty() ? 0 : ids.back();
  for (const std::int64_t id : reachable_ids(damaged, kBackward, INT64_MAX)) {
    if (id <= last) break;
    ids.push_back(id);
  }
  return ids;
}

void copy_notes(Database& damaged, Database& fresh) {
  auto notes = damaged.prepare(kNotes);
  while (notes) {
    const auto row = notes->step();
    if (!row || !*row) break;
    static_cast<void>(write_note(fresh, notes->text(0), notes->text(1)));
  }
  auto counts = damaged.prepare(kCounts);
  auto set = fresh.prepare(kSetCount);
  while (counts && set) {
    const auto row = counts->step();
    if (!row || !*row) break;
    static_cast<void>(set->bind(1, counts->text(0)).bind(2, counts->integer(1)).run());
  }
}

void copy_tunings(Database& damaged, Database& fresh) {
  const auto rows = read_tunings(damaged);
  if (!rows) return;
  for (const TuningRow& row : *rows) {
    if (check(row)) static_cast<void>(write_tuning(fresh, row.tuning));
  }
}

bool copy_record(Database& damaged, Database& fresh, std::int64_t id) {
  auto record = read_record(damaged, id);
  if (!record || !*record) return false;
  if (!decode(**record, (*record)->key)) return false;
  const auto written = write_record(fresh, **record);
  return written && *written;
}

}  // namespace

std::int64_t salvage(const std::filesystem::path& file, Database& fresh) {
  auto damaged = Database::open(file, Access::kReadWrite, std::chrono::seconds(1));
  if (!damaged) return 0;
  const auto whose = identify(*damaged);
  if (!whose || *whose != Identity::kOurs) return 0;
  // Keeps other processes from adding to what is about to be left behind, if that still works.
  const auto kept_still = Transaction::begin(*damaged);
  auto transaction = Transaction::begin(fresh);
  if (!transaction) return 0;
  const Clock::time_point deadline = Clock::now() + kBudget;
  std::int64_t kept = 0;
  for (const std::int64_t id : all_reachable_ids(*damaged)) {
    if (Clock::now() >= deadline) break;
    if (copy_record(*damaged, fresh, id)) ++kept;
  }
  copy_notes(*damaged, fresh);
  copy_tunings(*damaged, fresh);
  return transaction->commit() ? kept : 0;
}

}  // namespace fms::cache

// What a store knows of choices that were measured.

#include <fmt/format.h>

#include <utility>

#include "cache/kernel_store.h"
#include "cache/store_state.h"
#include "cache/tuning_table.h"

namespace fms {
namespace {

using cache::Database;
using cache::Session;
using cache::SqlResult;
using cache::StoreState;
using cache::TuningRow;

std::unexpected<Error> cant(std::string_view doing, const StoreState& state,
                            const cache::SqlError& error) {
  return std::unexpected(cache::to_error(
      fmt::format("can't {} tunings in {}", doing, state.where.file.string()), error));
}

}  // namespace

bool KernelStore::put_tuning(Tuning tuning) {
  if (state_->where.read_only) return false;
  tuning.created = state_->now();
  const auto sound = cache::check(tuning);
  Session session(*state_);
  if (!sound) {
    session.warn(fmt::format("a tuning of {} isn't kept in {}: {}", tuning.template_name,
                             state_->where.file.string(), sound.error().message));
    return false;
  }
  const auto written = session.write_repairing(
      [&](Database& database) { return cache::write_tuning(database, tuning); });
  if (!written) {
    session.warn_once(fmt::format("can't keep a tuning in {}", state_->where.file.string()),
                      written.error());
    return false;
  }
  state_->open->wrote_records = true;
  return true;
}

Result<std::vector<Tuning>> KernelStore::tunings() {
  Session session(*state_);
  session.reopen_if_moved();
  auto rows = session.run([](Database& database) { return cache::read_tunings(database); });
  if (!rows) return cant("read", *state_, rows.error());
  std::vector<Tuning> tunings;
  for (TuningRow& row : *rows) {
    if (const auto sound = cache::check(row); !sound) {
      session.warn(fmt::format("a tuning of {} in {} is damaged ({}); it is passed over",
                               row.tuning.template_name, state_->where.file.string(),
                               sound.error().message));
      continue;
    }
    tunings.push_back(std::move(row.tuning));
  }
  return tunings;
}

Result<std::int64_t> KernelStore::remove_tunings(const std::function<bool(const Tuning&)>& which) {
  if (state_->where.read_only) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("can't remove tunings from {}: it was opened to be read only",
                            state_->where.file.string()));
  }
  std::vector<TuningRow> rows;
  {
    Session session(*state_);
    session.reopen_if_moved();
    auto read = session.run([](Database& database) { return cache::read_tunings(database); });
    if (!read) return cant("read", *state_, read.error());
    rows = *std::move(read);
  }
  // The caller's function is called out of any Session.
  if (which) std::erase_if(rows, [&](const TuningRow& row) { return !which(row.tuning); });
  Session session(*state_);
  const auto removed = session.write([&](Database& database) -> SqlResult<void> {
    for (const TuningRow& row : rows) FMS_TRY_VOID(cache::remove_tuning(database, row.id));
    return {};
  });
  if (!removed) return cant("remove", *state_, removed.error());
  return static_cast<std::int64_t>(rows.size());
}

}  // namespace fms

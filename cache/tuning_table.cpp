#include "cache/tuning_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "cache/schema.h"
#include "compiler/target.h"

namespace fms::cache {
namespace {

constexpr char kRead[] =
    "SELECT id, template, digest, target, device, compiler, problem, choice, evidence, created,"
    " checksum FROM tuning ORDER BY template, digest, target, device, compiler, problem";
constexpr char kWrite[] =
    "INSERT OR REPLACE INTO tuning(template, digest, target, device, compiler, problem, choice,"
    " evidence, created, checksum) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
constexpr char kRemove[] = "DELETE FROM tuning WHERE id = ?1";

constexpr std::size_t kMaxTuningTextBytes = 64 << 10;
constexpr std::size_t kMaxEvidenceBytes = 1 << 20;

std::string text(const Statement& row, int column) { return std::string(row.text(column)); }

TuningRow tuning_row_at(const Statement& row) {
  TuningRow read{.id = row.integer(0)};
  read.tuning = {.template_name = text(row, 1),
                 .template_digest = text(row, 2),
                 .target = text(row, 3),
                 .device = text(row, 4),
                 .compiler = text(row, 5),
                 .problem = text(row, 6),
                 .choice = text(row, 7),
                 .evidence = text(row, 8),
                 .created = row.integer(9)};
  const auto blob = row.blob(10);
  if (blob.size() == read.checksum.bytes.size()) {
    std::ranges::transform(blob, read.checksum.bytes.begin(),
                           [](std::byte b) { return std::to_integer<std::uint8_t>(b); });
  }
  return read;
}

}  // namespace

Digest checksum_of(const Tuning& tuning) {
  FieldHasher hasher;
  hasher.add("tuning", "1");
  hasher.add("template", tuning.template_name);
  hasher.add("digest", tuning.template_digest);
  hasher.add("target", tuning.target);
  hasher.add("device", tuning.device);
  hasher.add("compiler", tuning.compiler);
  hasher.add("problem", tuning.problem);
  hasher.add("choice", tuning.choice);
  hasher.add("evidence", tuning.evidence);
  hasher.add("created", std::to_string(tuning.created));
  return hasher.finish();
}

Result<void> check(const Tuning& tuning) {
  const std::pair<std::string_view, const std::string*> texts[] = {
      {"template name", &tuning.template_name},
      {"digest", &tuning.template_digest},
      {"target", &tuning.target},
      {"device", &tuning.device},
      {"compiler", &tuning.compiler},
      {"problem", &tuning.problem},
      {"choice", &tuning.choice}};
  for (const auto& [what, text] : texts) {
    if (text->empty() || text->size() > kMaxTuningTextBytes) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("its {} has {} bytes, and may have 1 to {}", what, text->size(),
                              kMaxTuningTextBytes));
    }
  }
  if (tuning.evidence.size() > kMaxEvidenceBytes || !nlohmann::json::accept(tuning.evidence)) {
    return fail(ErrorCode::kInvalidArgument, "its evidence isn't JSON of up to 1 MiB");
  }
  FMS_TRY_VOID(Target::parse(tuning.target));
  FMS_TRY_VOID(Digest::from_hex(tuning.template_digest));
  return {};
}

Result<void> check(const TuningRow& row) {
  if (checksum_of(row.tuning) != row.checksum) {
    return fail(ErrorCode::kCorrupt, "its checksum doesn't match");
  }
  return check(row.tuning);
}

SqlResult<std::vector<TuningRow>> read_tunings(Database& database) {
  std::vector<TuningRow> rows;
  FMS_TRY(const bool has_table, has_tuning_table(database));
  if (!has_table) return rows;
  FMS_TRY(Statement read, database.prepare(kRead));
  for (;;) {
    FMS_TRY(const bool row, read.step());
    if (!row) return rows;
    rows.push_back(tuning_row_at(read));
  }
}

SqlResult<void> write_tuning(Database& database, const Tuning& tuning) {
  FMS_TRY_VOID(add_tuning_table(database));
  const Digest checksum = checksum_of(tuning);
  FMS_TRY(Statement write, database.prepare(kWrite));
  write.bind(1, tuning.template_name)
      .bind(2, tuning.template_digest)
      .bind(3, tuning.target)
      .bind(4, tuning.device)
      .bind(5, tuning.compiler)
      .bind(6, tuning.problem)
      .bind(7, tuning.choice)
      .bind(8, tuning.evidence)
      .bind(9, tuning.created)
      .bind(10, std::span(checksum.bytes));
  return write.run();
}

SqlResult<void> remove_tuning(Database& database, std::int64_t id) {
  FMS_TRY(Statement remove, database.prepare(kRemove));
  return remove.bind(1, id).run();
}

}  // namespace fms::cache

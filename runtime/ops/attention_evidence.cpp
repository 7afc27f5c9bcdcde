#include <ctime>
#include <nlohmann/json.hpp>

#include "runtime/ops/attention_tuning.h"

namespace fms::attention {
namespace {

using Json = nlohmann::ordered_json;

// Errors may be pages of a compiler's log.
constexpr std::size_t kMaxReason = 200;

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char text[32] = {};
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

Json to_json(const TunedCandidate& each) {
  Json object = {{"tile", each.candidate.tile}, {"outcome", to_string(each.outcome)}};
  if (!each.why.empty()) object["why"] = each.why.substr(0, kMaxReason);
  if (!each.ms.empty()) object["ms"] = each.ms;
  if (each.registers > 0) object["registers"] = each.registers;
  object["predicted"] = {{"registers", each.candidate.registers},
                         {"smem_bytes", each.candidate.smem_bytes},
                         {"waves", each.candidate.waves},
                         {"cost", each.candidate.cost}};
  return object;
}

}  // namespace

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::kPruned:
      return "pruned";
    case Outcome::kSkipped:
      return "skipped";
    case Outcome::kRejected:
      return "rejected";
    case Outcome::kWrong:
      return "wrong";
    case Outcome::kDropped:
      return "dropped";
    case Outcome::kMeasured:
      break;
  }
  return "measured";
}

std::string evidence_of(const TuningReport& report, const Device& device) {
  Json problems = Json::array();
  for (const Problem& problem : report.problems) {
    problems.push_back(Json::parse(to_json_line(to_manifest_entry(problem)), nullptr, false));
  }
  Json compiled = Json::array();
  std::size_t pruned = 0;
  for (const TunedCandidate& each : report.candidates) {
    if (each.outcome == Outcome::kPruned) {
      ++pruned;
    } else {
      compiled.push_back(to_json(each));
    }
  }
  const Json evidence = {{"date", today()},
                         {"driver", device.info().driver_version},
                         {"seconds", report.seconds},
                         {"problems", std::move(problems)},
                         {"chosen_by_plan", report.candidates.front().candidate.tile},
                         {"best", report.candidates[report.best].candidate.tile},
                         {"speedup", report.speedup},
                         {"pruned", pruned},
                         {"candidates", std::move(compiled)}};
  return evidence.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace fms::attention

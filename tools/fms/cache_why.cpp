#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>

#include "tools/fms/cache.h"

namespace fms::program {
namespace {

using nlohmann::json;
using EntryAndRecord = std::pair<StoreEntry, StoreRecord>;

struct Difference {
  std::string label, here, there;  // one of them is "" where only the other has the field
};

std::vector<Difference> differences(const std::vector<KeyField>& here,
                                    const std::vector<KeyField>& there) {
  std::map<std::string, Difference> by_label;
  for (const KeyField& field : here) by_label[field.label].here = field.summary;
  for (const KeyField& field : there) by_label[field.label].there = field.summary;
  std::vector<Difference> differing;
  for (auto& [label, difference] : by_label) {
    if (difference.here == difference.there) continue;
    difference.label = label;
    differing.push_back(std::move(difference));
  }
  return differing;
}

json fields_json(const std::vector<KeyField>& fields) {
  json list = json::array();
  for (const KeyField& field : fields) {
    list.push_back({{"label", field.label}, {"summary", field.summary}});
  }
  return list;
}

void print_json(const EntryAndRecord& found, const std::optional<EntryAndRecord>& nearest) {
  json object{{"key", found.first.key.hex()},
              {"specialization", found.first.specialization},
              {"target", found.first.target},
              {"failed", found.first.failed},
              {"fields", fields_json(found.second.key_fields)}};
  if (nearest) {
    json list = json::array();
    for (const auto& difference :
         differences(found.second.key_fields, nearest->second.key_fields)) {
      list.push_back(
          {{"label", difference.label}, {"here", difference.here}, {"there", difference.there}});
    }
    object["nearest"] = {{"key", nearest->first.key.hex()},
                         {"specialization", nearest->first.specialization},
                         {"target", nearest->first.target},
                         {"differs", std::move(list)}};
  }
  fmt::print("{}\n", object.dump(2, ' ', false, json::error_handler_t::replace));
}

void print_text(const EntryAndRecord& found, const std::optional<EntryAndRecord>& nearest) {
  fmt::print("{}\n{} for {}{}\n\nIts key covers\n", found.first.key.hex(),
             found.first.specialization, found.first.target,
             found.first.failed ? " (a failure)" : "");
  for (const KeyField& field : found.second.key_fields) {
    fmt::print("  {:<32} {}\n", field.label, field.summary);
  }
  if (!nearest) {
    fmt::print("\nNo other entry of this template.\n");
    return;
  }
  fmt::print("\nThe nearest other entry, {}\n{} for {}, differs in\n",
             nearest->first.key.hex().substr(0, 12), nearest->first.specialization,
             nearest->first.target);
  for (const auto& difference : differences(found.second.key_fields, nearest->second.key_fields)) {
    fmt::print("  {}\n    here   {}\n    there  {}\n", difference.label,
               difference.here.empty() ? "-" : difference.here,
               difference.there.empty() ? "-" : difference.there);
  }
}

}  // namespace

Result<int> cache_why(const CacheCommand& command) {
  FMS_TRY(const auto tiers, open_tiers(command.common));
  std::optional<Error> first_error;
  for (const OpenTier& tier : tiers) {
    const auto found = tier.store->explain(command.key);
    if (!found) {
      if (!first_error) first_error = found.error();
      if (found.error().code != ErrorCode::kNotFound) break;
      continue;
    }
    FMS_TRY(const auto nearest, tier.store->nearest(found->first.template_name,
                                                    found->second.key_fields, found->first.key));
    if (command.common.json) {
      print_json(*found, nearest);
    } else {
      print_text(*found, nearest);
    }
    return kOk;
  }
  return std::unexpected(*std::move(first_error));
}

}  // namespace fms::program

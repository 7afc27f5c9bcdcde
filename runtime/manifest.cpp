#include "runtime/manifest.h"

#include <fmt/format.h>

#include <charconv>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "runtime/ops/attention.h"
#include "runtime/ops/attention_plan.h"
#include "runtime/ops/block_table.h"
#include "runtime/template_file.h"

namespace fms {
namespace {

using Json = nlohmann::json;

// A value as text, as Parameter::parse() and the command line take it.
Result<std::string> as_text(const std::string& key, const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return std::string(value.get<bool>() ? "true" : "false");
  if (value.is_number()) return value.dump();
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("\"{}\" must be a number, a boolean or a string", key));
}

// The reverse: what reads back as the same text without quotes is written without them.
Json from_text(const std::string& text) {
  if (text == "true") return true;
  if (text == "false") return false;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && std::to_string(number) == text) {
    return number;
  }
  return text;
}

Result<ManifestEntry> parse_op(const Json& object) {
  ManifestEntry entry;
  for (const auto& [key, value] : object.items()) {
    FMS_TRY(std::string text, as_text(key, value));
    if (key == "op") {
      entry.op = std::move(text);
    } else {
      entry.problem[key] = std::move(text);
    }
  }
  if (entry.op != "attention") {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("no operation is named \"{}\": there is \"attention\"", entry.op));
  }
  return entry;
}

Result<ManifestEntry> parse_template(const Json& object) {
  ManifestEntry entry;
  for (const auto& [key, value] : object.items()) {
    if (key == "template" && value.is_string()) {
      entry.template_name = value.get<std::string>();
    } else if (key == "parameters" && value.is_object()) {
      for (const auto& [name, parameter] : value.items()) {
        FMS_TRY(entry.parameters[name], as_text(name, parameter));
      }
    } else {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("\"{}\" is unknown or of the wrong type: a template's line is "
                              "{{\"template\": NAME, \"parameters\": {{...}}}}",
                              key));
    }
  }
  if (entry.template_name.empty()) {
    return fail(ErrorCode::kInvalidArgument, "\"template\" is empty");
  }
  return entry;
}

Result<ManifestEntry> parse_line(std::string_view line) {
  const Json object = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (object.is_discarded()) return fail(ErrorCode::kInvalidArgument, "not valid JSON");
  if (!object.is_object()) return fail(ErrorCode::kInvalidArgument, "not a JSON object");
  if (object.contains("op")) return parse_op(object);
  if (object.contains("template")) return parse_template(object);
  return fail(ErrorCode::kInvalidArgument, "has neither \"template\" nor \"op\"");
}

}  // namespace

Result<Manifest> Manifest::parse(std::string_view text) {
  Manifest manifest;
  int number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++number;
    const std::size_t start = line.find_first_not_of(" \t\r");
    if (start == std::string_view::npos || line[start] == '#') continue;
    Result<ManifestEntry> entry = parse_line(line.substr(start));
    if (!entry) {
      return std::unexpected(
          with_context(fmt::format("line {} of the manifest", number), std::move(entry).error()));
    }
    entry->line = number;
    manifest.entries.push_back(*std::move(entry));
  }
  return manifest;
}

Result<Manifest> Manifest::read(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::stringstream text;
  // A folder opens as a stream on Linux, and fails only when it is read.
  if (!in || (in.peek() != std::ifstream::traits_type::eof() && !(text << in.rdbuf())) ||
      in.bad() || std::filesystem::is_directory(file)) {
    return fail(
        ErrorCode::kNotFound,
        fmt::format("can't read the manifest {}: no such file, or not readable", file.string()));
  }
  Result<Manifest> manifest = parse(text.view());
  if (!manifest) {
    return std::unexpected(
        with_context(fmt::format("can't use {}", file.string()), std::move(manifest).error()));
  }
  return manifest;
}

std::string to_json_line(const ManifestEntry& entry) {
  nlohmann::ordered_json object;
  if (!entry.op.empty()) {
    object["op"] = entry.op;
    for (const auto& [key, text] : entry.problem) object[key] = from_text(text);
  } else {
    object["template"] = entry.template_name;
    nlohmann::ordered_json parameters = nlohmann::ordered_json::object();
    for (const auto& [name, text] : entry.parameters) parameters[name] = from_text(text);
    object["parameters"] = std::move(parameters);
  }
  return object.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<std::vector<Specialization>> resolve(const ManifestEntry& entry, const Target& target,
                                            const std::filesystem::path& folder,
                                            const Tunings& tunings) {
  std::vector<Specialization> variants;
  const auto exact = [&]() -> Result<std::vector<Specialization>> {
    std::vector<Specialization> all;
    if (entry.op == "attention") {
      FMS_TRY(const attention::Problem problem, attention::from_manifest_entry(entry));
      FMS_TRY(std::vector<attention::Plan> plans,
              attention::plans(problem, target, tunings, attention::access_of(entry)));
      for (attention::Plan& plan : plans) all.push_back(std::move(plan.specialization));
      if (problem.block_table) {
        FMS_TRY(Specialization filling, attention::block_table_specialization(problem, target));
        variants.push_back(std::move(filling));
      }
      return all;
    }
    // A file is meant relative to the manifest that names it; an embedded template has no such
    // file.
    std::error_code ignored;
    const std::filesystem::path file = folder / entry.template_name;
    const bool is_file = std::filesystem::is_regular_file(file, ignored);
    FMS_TRY(auto kernel_template, load_template(is_file ? file.string() : entry.template_name));
    FMS_TRY(Specialization one,
            Specialization::parse(std::move(kernel_template), entry.parameters));
    all.push_back(std::move(one));
    return all;
  }();
  if (!exact) {
    return std::unexpected(
        with_context(fmt::format("line {} of the manifest", entry.line), std::move(exact).error()));
  }
  for (const Specialization& each : *exact) {
    variants.push_back(each.dynamic());
    if (each.has_exact_size()) variants.push_back(each);
  }
  return variants;
}

}  // namespace fms

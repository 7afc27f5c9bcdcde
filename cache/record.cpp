#include "cache/record.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "compiler/target.h"

namespace fms::cache {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxCodeBytes = 64 << 20;
constexpr std::size_t kMaxLogBytes = 1 << 20;
constexpr std::size_t kMaxKeyFieldsBytes = 4 << 20;
constexpr std::size_t kMaxTextBytes = 64 << 10;
constexpr std::size_t kMaxParameters = 4096;
constexpr double kMaxCompileMs = 24 * 3600 * 1000.0;  // more would keep a record from eviction

std::string shortest(double value) {
  std::array<char, 32> buffer{};
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return {buffer.data(), end};
}

std::string_view as_text(const auto& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Text of any bytes: a compiler's words needn't be UTF-8.
std::string dump(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

constexpr std::array kResourceFields = {
    std::pair{"registers", &Resources::registers},
    std::pair{"spill_stores", &Resources::spill_stores},
    std::pair{"spill_loads", &Resources::spill_loads},
    std::pair{"stack_bytes", &Resources::stack_bytes},
    std::pair{"static_smem_bytes", &Resources::static_smem_bytes},
    std::pair{"max_threads", &Resources::max_threads},
};

std::string encode_resources(const Resources& resources) {
  json object = json::object();
  for (const auto& [name, member] : kResourceFields) object[name] = resources.*member;
  object["serialized_wgmma"] = resources.serialized_wgmma;
  json& parameters = object["parameters"] = json::array();
  for (const ParameterLayout& p : resources.parameters)
    parameters.push_back(json::array({p.offset, p.size}));
  return dump(object);
}

std::optional<std::int64_t> whole_number(const json& value, std::int64_t maximum) {
  if (!value.is_number_integer()) return {};
  const auto number = value.get<std::int64_t>();
  if (number < 0 || number > maximum) return {};
  return number;
}

std::optional<Resources> decode_resources(std::string_view text) {
  const json object = json::parse(text, nullptr, false);
  if (!object.is_object()) return {};
  Resources resources;
  for (const auto& [name, member] : kResourceFields) {
    const auto found = object.find(name);
    if (found == object.end()) return {};
    const auto number = whole_number(*found, std::numeric_limits<int>::max());
    if (!number) return {};
    resources.*member = static_cast<int>(*number);
  }
  const auto wgmma = object.find("serialized_wgmma");
  if (wgmma == object.end() || !wgmma->is_boolean()) return {};
  resources.serialized_wgmma = wgmma->get<bool>();
  const auto parameters = object.find("parameters");
  if (parameters == object.end() || !parameters->is_array()) return {};
  if (parameters->size() > kMaxParameters) return {};
  for (const json& pair : *parameters) {
    if (!pair.is_array() || pair.size() != 2) return {};
    const auto offset = whole_number(pair[0], std::numeric_limits<std::uint32_t>::max());
    const auto size = whole_number(pair[1], std::numeric_limits<std::uint32_t>::max());
    if (!offset || !size) return {};
    resources.parameters.push_back(
        {.offset = static_cast<std::uint32_t>(*offset), .size = static_cast<std::uint32_t>(*size)});
  }
  return resources;
}

std::string encode_key_fields(const std::vector<KeyField>& fields) {
  json array = json::array();
  for (const KeyField& field : fields) array.push_back(json::array({field.label, field.summary}));
  return dump(array);
}

std::string cut_log(std::string log) {
  if (log.size() <= kMaxLogBytes) return log;
  const std::string note = fmt::format("\n[cut here: {} bytes in all]\n", log.size());
  log.resize(kMaxLogBytes - note.size());
  return log += note;
}

// What a record of ours can't be. Nothing: it is sound in size.
std::optional<std::string> oversized(const Record& record) {
  const auto too_long = [](std::string_view what, std::size_t size, std::size_t limit) {
    return fmt::format("its {} has {} bytes, and a store keeps at most {}", what, size, limit);
  };
  const std::pair<std::string_view, const std::string*> texts[] = {
      {"template name", &record.template_name},
      {"specialization", &record.specialization},
      {"target", &record.target},
      {"entry", &record.entry},
      {"compiler fingerprint", &record.compiler},
      {"resources", &record.resources},
      {"error message", &record.error_message},
  };
  for (const auto& [what, text] : texts)
    if (text->size() > kMaxTextBytes) return too_long(what, text->size(), kMaxTextBytes);
  if (record.code.size() > kMaxCodeBytes)
    return too_long("object code", record.code.size(), kMaxCodeBytes);
  if (record.log.size() > kMaxLogBytes) return too_long("log", record.log.size(), kMaxLogBytes);
  if (record.key_fields.size() > kMaxKeyFieldsBytes)
    return too_long("list of key fields", record.key_fields.size(), kMaxKeyFieldsBytes);
  return {};
}

Result<Record> sealed(Record record) {
  record.bytes = static_cast<std::int64_t>(record.code.size());
  record.last_used = record.created;
  if (auto reason = oversized(record)) return fail(ErrorCode::kInvalidArgument, *std::move(reason));
  // What can't be read back must not go in.
  FMS_TRY_VOID(Target::parse(record.target));
  record.checksum = checksum_of(record);
  return record;
}

bool has_format(const Target& target, ObjectFormat format) {
  return (target.kind == Target::Kind::kCpu) == (format == ObjectFormat::kElf);
}

Result<Content> decode_failure(Record& record) {
  std::optional<ErrorCode> code;
  for (const ErrorCode known : {ErrorCode::kCompileFailed, ErrorCode::kRejected})
    if (record.error_code == to_string(known)) code = known;
  if (!code) return fail(ErrorCode::kCorrupt, fmt::format("its error is '{}'", record.error_code));
  if (!record.code.empty())
    return fail(ErrorCode::kCorrupt, "it is a failure, and has object code");
  return StoredFailure{.error = {.code = *code,
                                 .message = std::move(record.error_message),
                                 .detail = std::move(record.log)},
                       .compiler = std::move(record.compiler)};
}

Result<Content> decode_object(Record& record, Target target) {
  FMS_TRY(const ObjectFormat format, parse_object_format(record.format));
  if (!has_format(target, format))
    return fail(ErrorCode::kCorrupt, fmt::format("it is {} for {}", record.format, record.target));
  auto resources = decode_resources(record.resources);
  if (!resources) return fail(ErrorCode::kCorrupt, "its resources don't parse");
  if (record.code.empty()) return fail(ErrorCode::kCorrupt, "its object code is empty");
  if (record.entry.empty()) return fail(ErrorCode::kCorrupt, "it names no entry");
  return ObjectCode{.format = format,
                    .target = std::move(target),
                    .entry = std::move(record.entry),
                    .bytes = std::move(record.code),
                    .resources = *std::move(resources),
                    .log = std::move(record.log),
                    .compiler = std::move(record.compiler),
                    .compile_ms = record.compile_ms};
}

}  // namespace

Digest checksum_of(const Record& record) {
  FieldHasher hasher;
  hasher.add("record", "1");
  hasher.add("key", as_text(record.key.bytes));
  hasher.add("template", record.template_name);
  hasher.add("specialization", record.specialization);
  hasher.add("target", record.target);
  hasher.add("format", record.format);
  hasher.add("entry", record.entry);
  hasher.add("compiler", record.compiler);
  hasher.add("resources", record.resources);
  hasher.add("compile_ms", shortest(record.compile_ms));
  hasher.add("error_code", record.error_code);
  hasher.add("error_message", record.error_message);
  hasher.add("created", std::to_string(record.created));
  hasher.add("expires", std::to_string(record.expires));
  hasher.add("key_fields", record.key_fields);
  hasher.add("log", record.log);
  hasher.add("code", as_text(record.code));
  return hasher.finish();
}

Result<Record> encode(const Digest& key, const ObjectCode& object, const StoreRecord& about,
                      std::int64_t now) {
  if (object.bytes.empty()) return fail(ErrorCode::kInvalidArgument, "its object code is empty");
  if (object.entry.empty()) return fail(ErrorCode::kInvalidArgument, "it names no entry");
  if (!has_format(object.target, object.format))
    return fail(
        ErrorCode::kInvalidArgument,
        fmt::format("it is {} for {}", to_string(object.format), object.target.to_string()));
  Record record{.key = key,
                .template_name = about.template_name,
                .specialization = about.specialization,
                .target = object.target.to_string(),
                .format = std::string(to_string(object.format)),
                .entry = object.entry,
                .compiler = object.compiler,
                .resources = encode_resources(object.resources)};
  // SQLite keeps NaN as NULL, which would never match its checksum again.
  if (std::isfinite(object.compile_ms) && object.compile_ms > 0)
    record.compile_ms = std::min(object.compile_ms, kMaxCompileMs);
  record.created = now;
  record.key_fields = encode_key_fields(about.key_fields);
  record.log = cut_log(object.log);
  record.code = object.bytes;
  return sealed(std::move(record));
}

Result<Record> encode(const Digest& key, const StoredFailure& failure, const StoreRecord& about,
                      const Target& target, std::int64_t now, std::int64_t expires) {
  Record record{.key = key,
                .template_name = about.template_name,
                .specialization = about.specialization,
                .target = target.to_string(),
                .compiler = failure.compiler};
  record.error_code = std::string(to_string(failure.error.code));
  record.error_message = failure.error.message;
  record.created = now;
  record.expires = expires;
  record.key_fields = encode_key_fields(about.key_fields);
  record.log = cut_log(failure.error.detail);
  return sealed(std::move(record));
}

Result<Content> decode(Record record, const Digest& key) {
  const auto corrupt = [](std::string message) {
    return fail(ErrorCode::kCorrupt, std::move(message));
  };
  if (record.key != key) return corrupt("it is the record of another key");
  if (record.bytes != static_cast<std::int64_t>(record.code.size()))
    return corrupt(fmt::format("it has {} bytes of object code instead of {}", record.code.size(),
                               record.bytes));
  if (checksum_of(record) != record.checksum) return corrupt("its checksum doesn't match");
  // The checksum keeps accidents out, not malice: whoever writes a bundle can compute it. So the
  // rest is checked as well.
  if (auto reason = oversized(record)) return corrupt(*std::move(reason));
  // Written so that NaN is refused too.
  if (!(record.compile_ms >= 0 && record.compile_ms <= kMaxCompileMs))
    return corrupt("its compile time can't be");
  auto target = Target::parse(record.target);
  if (!target) return corrupt(target.error().message);
  if (record.failed()) return decode_failure(record);
  auto object = decode_object(record, *std::move(target));
  if (!object) return corrupt(object.error().message);
  return object;
}

Result<std::vector<KeyField>> decode_key_fields(std::string_view text) {
  const json array = json::parse(text, nullptr, false);
  if (!array.is_array()) return fail(ErrorCode::kCorrupt, "its key fields don't parse");
  std::vector<KeyField> fields;
  for (const json& pair : array) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string())
      return fail(ErrorCode::kCorrupt, "its key fields don't parse");
    fields.push_back({.label = pair[0].get<std::string>(), .summary = pair[1].get<std::string>()});
  }
  return fields;
}

bool is_host_code(const Record& record) {
  return !record.failed() && !record.target.starts_with("cuda:");
}

StoreEntry entry_of(const Record& record) {
  return {.key = record.key,
          .template_name = record.template_name,
          .specialization = record.specialization,
          .target = record.target,
          .format = record.format,
          .compiler = record.compiler,
          .failed = record.failed(),
          .bytes = record.bytes,
          .compile_ms = record.compile_ms,
          .created = record.created,
          .last_used = record.last_used};
}

}  // namespace fms::cache

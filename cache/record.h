#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cache/kernel_store.h"
#include "compiler/digest.h"
#include "compiler/object_code.h"
#include "compiler/result.h"

namespace fms::cache {

// One row of the store, as its columns hold it: object code or a failure, with all that was said
// of it.
//
// Invariant: every field up to `code` enters checksum_of(). One that is added here must be added
// there; RecordTest.EveryFieldChangesTheChecksum fails until it is.
struct Record {
  Digest key;
  std::string template_name, specialization, target, format, entry, compiler;
  std::string resources;  // JSON
  double compile_ms = 0;
  std::string error_code, error_message;  // of a failure; empty for object code
  std::int64_t created = 0, expires = 0;  // expires 0: never
  std::string key_fields;                 // JSON
  std::string log;                        // of the compiler, or a failure's detail
  std::vector<std::byte> code;

  Digest checksum;  // as stored
  std::int64_t id = 0, bytes = 0, last_used = 0, hits = 0;

  bool failed() const { return !error_code.empty(); }
};

// SHA-256 over the labelled fields, in the order that cache/README.md states.
Digest checksum_of(const Record& record);

// A record that holds `object`, its checksum set. Fails with kInvalidArgument on sizes that no
// store keeps. A log longer than a store keeps is cut, and says so.
Result<Record> encode(const Digest& key, const ObjectCode& object, const StoreRecord& about,
                      std::int64_t now);
Result<Record> encode(const Digest& key, const StoredFailure& failure, const StoreRecord& about,
                      const Target& target, std::int64_t now, std::int64_t expires);

// Checks everything of a record that can be checked: its checksum, that it is the record of `key`,
// that each field is one that encode() writes. The error says what is wrong with it.
using Content = std::variant<ObjectCode, StoredFailure>;
Result<Content> decode(Record record, const Digest& key);

Result<std::vector<KeyField>> decode_key_fields(std::string_view json);

// True if the record is code that a CPU would run: there is no sandbox between it and the user.
bool is_host_code(const Record& record);

// The record's row in a list.
StoreEntry entry_of(const Record& record);

}  // namespace fms::cache

#include "cache/record.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "store_fixture.h"

namespace fms::cache {
namespace {

using namespace std::string_literals;

Record sample() {
  return *encode(sample_key(1), sample_object(1), sample_record(1), 1'700'000'000);
}

ErrorCode decoding_fails_with(Record record) {
  record.checksum = checksum_of(record);
  const Digest key = record.key;
  const auto content = decode(std::move(record), key);
  return content ? ErrorCode::kInternal : content.error().code;
}

TEST(RecordTest, EveryFieldChangesTheChecksum) {
  const Digest base = checksum_of(sample());
  const auto changed = [&](auto edit) {
    Record record = sample();
    edit(record);
    return checksum_of(record) != base;
  };
  EXPECT_TRUE(changed([](Record& r) { r.key.bytes[31] ^= 1; }));
  EXPECT_TRUE(changed([](Record& r) { r.template_name += ' '; }));
  EXPECT_TRUE(changed([](Record& r) { r.specialization += ' '; }));
  EXPECT_TRUE(changed([](Record& r) { r.target = "cuda:sm_90"; }));
  EXPECT_TRUE(changed([](Record& r) { r.format = "cubin"; }));
  EXPECT_TRUE(changed([](Record& r) { r.entry += '_'; }));
  EXPECT_TRUE(changed([](Record& r) { r.compiler += '1'; }));
  EXPECT_TRUE(changed([](Record& r) { r.resources += ' '; }));
  EXPECT_TRUE(changed([](Record& r) { r.compile_ms = std::nextafter(r.compile_ms, 1e9); }));
  EXPECT_TRUE(changed([](Record& r) { r.error_code = "rejected"; }));
  EXPECT_TRUE(changed([](Record& r) { r.error_message = "m"; }));
  EXPECT_TRUE(changed([](Record& r) { r.created += 1; }));
  EXPECT_TRUE(changed([](Record& r) { r.expires += 1; }));
  EXPECT_TRUE(changed([](Record& r) { r.key_fields += ' '; }));
  EXPECT_TRUE(changed([](Record& r) { r.log += ' '; }));
  EXPECT_TRUE(changed([](Record& r) { r.code.front() ^= std::byte{1}; }));
  EXPECT_TRUE(changed([](Record& r) { r.code.pop_back(); }));
}

TEST(RecordTest, TextThatMovesFromOneFieldToTheNextChangesTheChecksum) {
  Record record = sample();
  record.template_name = "ab";
  record.specialization = "c";
  const Digest first = checksum_of(record);
  record.template_name = "a";
  record.specialization = "bc";
  EXPECT_NE(checksum_of(record), first);
}

TEST(RecordTest, UsesArentCoveredByTheChecksum) {
  Record record = sample();
  record.last_used += 5;
  record.hits += 7;
  record.id = 9;
  EXPECT_EQ(checksum_of(record), sample().checksum);
}

TEST(RecordTest, ObjectCodeComesBackWhole) {
  const auto content = decode(sample(), sample_key(1));
  ASSERT_TRUE(content) << content.error().message;
  EXPECT_TRUE(equal(std::get<ObjectCode>(*content), sample_object(1)));
}

TEST(RecordTest, LogsOfAnyBytesComeBackWhole) {
  ObjectCode object = sample_object(1);
  object.log = "zero \0 and \xff\xfe not UTF-8"s;
  const auto record = encode(sample_key(1), object, sample_record(1), 1);
  const auto content = decode(*record, sample_key(1));
  ASSERT_TRUE(content);
  EXPECT_EQ(std::get<ObjectCode>(*content).log, object.log);
}

TEST(RecordTest, ALogTooLongIsCutAndSaysSo) {
  ObjectCode object = sample_object(1);
  object.log.assign(3 << 20, 'x');
  const auto record = encode(sample_key(1), object, sample_record(1), 1);
  ASSERT_TRUE(record);
  EXPECT_LE(record->log.size(), 1u << 20);
  EXPECT_NE(record->log.find("3145728 bytes in all"), std::string::npos);
}

TEST(RecordTest, WhatCantBeReadBackIsntEncoded) {
  ObjectCode object = sample_object(1);
  object.bytes.clear();
  EXPECT_FALSE(encode(sample_key(1), object, sample_record(1), 1));
  object = sample_object(1);
  object.entry.clear();
  EXPECT_FALSE(encode(sample_key(1), object, sample_record(1), 1));
  object = sample_object(1);
  object.target.arch = "sm_20";
  EXPECT_FALSE(encode(sample_key(1), object, sample_record(1), 1));
  object = sample_object(1);
  object.entry.assign(1 << 20, 'x');
  EXPECT_FALSE(encode(sample_key(1), object, sample_record(1), 1));
}

TEST(RecordTest, CodeOfTheWrongKindForItsTargetIsNeitherWrittenNorRead) {
  ObjectCode object = sample_host_object(1);
  ASSERT_TRUE(encode(sample_key(1), object, sample_record(1), 1));
  object.format = ObjectFormat::kCubin;
  EXPECT_FALSE(encode(sample_key(1), object, sample_record(1), 1));
  object = sample_object(1);
  object.format = ObjectFormat::kElf;
  EXPECT_FALSE(encode(sample_key(1), object, sample_record(1), 1));
  Record record = sample();
  record.format = "elf";
  EXPECT_EQ(decoding_fails_with(record), ErrorCode::kCorrupt);
  record = sample();
  record.target = "cpu:x86-64-v3";
  EXPECT_EQ(decoding_fails_with(record), ErrorCode::kCorrupt);
}

TEST(RecordTest, ACompileTimeThatIsNoNumberIsKeptAsZero) {
  ObjectCode object = sample_object(1);
  for (const double odd :
       {std::numeric_limits<double>::quiet_NaN(), -1.0, std::numeric_limits<double>::infinity()}) {
    object.compile_ms = odd;
    EXPECT_EQ(encode(sample_key(1), object, sample_record(1), 1)->compile_ms, 0);
  }
}

TEST(RecordTest, AnotherKeysRecordIsCorrupt) {
  const auto content = decode(sample(), sample_key(2));
  ASSERT_FALSE(content);
  EXPECT_EQ(content.error().code, ErrorCode::kCorrupt);
}

TEST(RecordTest, NonsenseWithAGoodChecksumIsCorrupt) {
  const auto with = [](auto edit) {
    Record record = sample();
    edit(record);
    record.bytes = static_cast<std::int64_t>(record.code.size());
    return decoding_fails_with(std::move(record));
  };
  EXPECT_EQ(with([](Record& r) { r.format = "elf"; }), ErrorCode::kCorrupt);
  EXPECT_EQ(with([](Record& r) { r.target = "cuda:sm_1"; }), ErrorCode::kCorrupt);
  EXPECT_EQ(with([](Record& r) { r.entry.clear(); }), ErrorCode::kCorrupt);
  EXPECT_EQ(with([](Record& r) { r.code.clear(); }), ErrorCode::kCorrupt);
  EXPECT_EQ(with([](Record& r) { r.compile_ms = -1; }), ErrorCode::kCorrupt);
  EXPECT_EQ(with([](Record& r) { r.compile_ms = 1e300; }), ErrorCode::kCorrupt);
  EXPECT_EQ(with([](Record& r) { r.error_code = "io"; }), ErrorCode::kCorrupt);
  EXPECT_EQ(with([](Record& r) { r.error_code = "rejected"; }), ErrorCode::kCorrupt);
  EXPECT_EQ(with([](Record& r) { r.resources = "[]"; }), ErrorCode::kCorrupt);
  EXPECT_EQ(with([](Record& r) { r.resources = std::string(50000, '['); }), ErrorCode::kCorrupt);
  EXPECT_EQ(with([](Record& r) { r.resources.replace(0, 1, "{\"registers\":-1,"); }),
            ErrorCode::kInternal);  // the later of two equal names counts, as JSON readers do
  EXPECT_EQ(with([](Record& r) { r.log.assign(2 << 20, 'x'); }), ErrorCode::kCorrupt);
}

TEST(RecordTest, FailuresComeBackWhole) {
  const auto record =
      encode(sample_key(3), sample_failure(3), sample_record(3), sample_target(), 10, 20);
  ASSERT_TRUE(record);
  EXPECT_TRUE(record->failed());
  EXPECT_EQ(record->expires, 20);
  const auto content = decode(*record, sample_key(3));
  ASSERT_TRUE(content) << content.error().message;
  const auto& failure = std::get<StoredFailure>(*content);
  EXPECT_EQ(failure.error.code, ErrorCode::kCompileFailed);
  EXPECT_EQ(failure.error.message, sample_failure(3).error.message);
  EXPECT_EQ(failure.error.detail, sample_failure(3).error.detail);
  EXPECT_EQ(failure.compiler, kCompiler);
}

TEST(RecordTest, KeyFieldsComeBackInOrder) {
  const auto fields = decode_key_fields(sample().key_fields);
  ASSERT_TRUE(fields);
  ASSERT_EQ(fields->size(), 3u);
  EXPECT_EQ((*fields)[0].label, "compiler");
  EXPECT_EQ((*fields)[2].summary, "1 bytes");
}

TEST(RecordTest, KeyFieldsThatDontParseAreCorrupt) {
  for (const char* text : {"", "{", "{}", "[1]", "[[\"a\"]]", "[[\"a\",1]]"}) {
    const auto fields = decode_key_fields(text);
    ASSERT_FALSE(fields) << text;
    EXPECT_EQ(fields.error().code, ErrorCode::kCorrupt);
  }
}

}  // namespace
}  // namespace fms::cache

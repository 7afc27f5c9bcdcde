#include <gtest/gtest.h>
#include <sys/stat.h>

#include <random>

#include "cache/kernel_store.h"
#include "cache/record.h"
#include "cache/sqlite.h"
#include "cache/tables.h"
#include "store_fixture.h"

namespace fms {
namespace {

namespace fs = std::filesystem;

class BundleTest : public ::testing::Test {
 protected:
  void SetUp() override {
    source_ = open_or_die(folder_ / "source", {.warn = warnings_.listener()});
    for (int n = 0; n < 10; ++n)
      ASSERT_TRUE(source_->put(sample_key(n), sample_object(n), sample_record(n)));
    target_ = open_or_die(folder_ / "target", {.warn = warnings_.listener()});
    ASSERT_TRUE(target_->put(sample_key(100), sample_object(100), sample_record(100)));
  }

  void export_all() {
    const auto count = source_->export_bundle(bundle_);
    ASSERT_TRUE(count) << count.error().message;
    ASSERT_EQ(*count, 10);
  }

  // Imports what the bundle has become; expects that nothing changes and that the error says so.
  void expect_refused(ErrorCode code, std::string_view words) {
    const auto report = target_->import_bundle(bundle_);
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code, code) << report.error().message;
    EXPECT_NE(report.error().message.find(words), std::string::npos) << report.error().message;
    EXPECT_NE(report.error().message.find(bundle_.string()), std::string::npos);
    EXPECT_EQ(target_->stats()->entries, 1);
    EXPECT_TRUE(serves(*target_, 100));
    EXPECT_TRUE(misses(*target_, 1));
  }

  TemporaryFolder folder_;
  Warnings warnings_;
  const fs::path bundle_ = folder_ / "kernels.fms";
  std::unique_ptr<KernelStore> source_, target_;
};

TEST_F(BundleTest, ABundleCarriesEverythingToAnotherStore) {
  export_all();
  const auto report = target_->import_bundle(bundle_);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->added, 10);
  EXPECT_EQ(report->present, 0);
  for (int n = 0; n < 10; ++n) EXPECT_TRUE(serves(*target_, n)) << n;
  EXPECT_EQ(target_->explain(sample_key(3).hex())->second.key_fields.size(), 3u);
  EXPECT_EQ(target_->stats()->compiles, 1);  // an import compiles nothing
}

TEST_F(BundleTest, ImportingTwiceAddsNothing) {
  export_all();
  ASSERT_TRUE(target_->import_bundle(bundle_));
  const auto again = target_->import_bundle(bundle_);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->added, 0);
  EXPECT_EQ(again->present, 10);
}

TEST_F(BundleTest, CodeFromABundleReplacesAFailure) {
  export_all();
  ASSERT_TRUE(
      target_->put_failure(sample_key(2), sample_failure(2), sample_record(2), sample_target()));
  EXPECT_EQ(target_->import_bundle(bundle_)->added, 10);
  EXPECT_TRUE(serves(*target_, 2));
}

TEST_F(BundleTest, FailuresStayBehind) {
  ASSERT_TRUE(
      source_->put_failure(sample_key(50), sample_failure(50), sample_record(50), sample_target()));
  export_all();
  ASSERT_TRUE(target_->import_bundle(bundle_));
  EXPECT_EQ(target_->stats()->failed_entries, 0);
}

TEST_F(BundleTest, CodeForACpuIsImportedOnlyByWhoAnswersForIt) {
  ASSERT_TRUE(source_->put(sample_key(50), sample_host_object(50), sample_record(50)));
  ASSERT_EQ(*source_->export_bundle(bundle_), 11);
  const auto report = target_->import_bundle(bundle_);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->added, 10);
  EXPECT_EQ(report->host_code_skipped, 1);
  EXPECT_TRUE(serves(*target_, 3));
  EXPECT_TRUE(misses(*target_, 50));
  const auto trusted = target_->import_bundle(bundle_, {.trust_host_code = true});
  EXPECT_EQ(trusted->added, 1);
  EXPECT_EQ(trusted->present, 10);
  EXPECT_EQ(trusted->host_code_skipped, 0);
  EXPECT_EQ(target_->presence(sample_key(50)), Presence::kCode);
}

TEST_F(BundleTest, HoldsOnlyWhatIsWanted) {
  const auto count = source_->export_bundle(
      bundle_, [](const StoreEntry& entry) { return entry.format == "cubin"; });
  ASSERT_TRUE(count);
  EXPECT_EQ(*count, 5);
  ASSERT_TRUE(target_->import_bundle(bundle_));
  EXPECT_TRUE(serves(*target_, 4));
  EXPECT_TRUE(misses(*target_, 5));
}

TEST_F(BundleTest, TheChoiceMayAskTheStore) {
  const auto count = source_->export_bundle(
      bundle_, [&](const StoreEntry&) { return source_->stats().has_value(); });
  EXPECT_EQ(*count, 10);
}

TEST_F(BundleTest, IsOneFileThatAllMayRead) {
  export_all();
  struct stat info {};
  ASSERT_EQ(::stat(bundle_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0644u);
  int files = 0;
  for (const auto& entry : fs::directory_iterator(folder_.path()))
    if (entry.is_regular_file()) ++files;
  EXPECT_EQ(files, 1);
}

TEST_F(BundleTest, EqualStoresMakeEqualBundles) {
  export_all();
  const std::string first = read_file(bundle_);
  EXPECT_TRUE(serves(*source_, 3));
  source_->flush();
  export_all();
  EXPECT_EQ(read_file(bundle_), first);
}

TEST_F(BundleTest, ServesAsAReadOnlyTier) {
  export_all();
  const auto tier = KernelStore::open_read_only(bundle_);
  ASSERT_TRUE(tier) << tier.error().message;
  EXPECT_TRUE(serves(**tier, 3));
  EXPECT_EQ((*tier)->journal_mode(), "delete");
  EXPECT_FALSE(fs::exists(fs::path(bundle_) += "-journal"));
}

TEST_F(BundleTest, ATierWhoseBundleIsReplacedServesTheNewOne) {
  ASSERT_TRUE(source_->export_bundle(
      bundle_, [](const StoreEntry& entry) { return entry.key == sample_key(1); }));
  const auto tier = KernelStore::open_read_only(bundle_);
  ASSERT_TRUE(tier);
  EXPECT_TRUE(misses(**tier, 2));
  export_all();
  EXPECT_TRUE(serves(**tier, 2));
}

TEST_F(BundleTest, AnExportThatFailsLeavesTheOldBundle) {
  export_all();
  const std::string before = read_file(bundle_);
  EXPECT_FALSE(source_->export_bundle(folder_ / "missing" / "b.fms"));
  fs::create_directory(folder_ / "b.fms");
  const auto onto_folder = source_->export_bundle(folder_ / "b.fms");
  ASSERT_FALSE(onto_folder);
  EXPECT_EQ(onto_folder.error().code, ErrorCode::kIo);
  EXPECT_EQ(read_file(bundle_), before);
  for (const auto& entry : fs::directory_iterator(folder_.path()))
    EXPECT_EQ(entry.path().string().find(".tmp."), std::string::npos) << entry.path();
}

TEST_F(BundleTest, DamagedRecordsStayBehind) {
  tamper(source_->path(), "UPDATE content SET code = x'00' WHERE id = 3");
  const auto count = source_->export_bundle(bundle_);
  ASSERT_TRUE(count);
  EXPECT_EQ(*count, 9);
  EXPECT_TRUE(warnings_.mention("isn't exported"));
  EXPECT_EQ(target_->import_bundle(bundle_)->added, 9);
}

TEST_F(BundleTest, ATamperedRecordImportsNothing) {
  for (const char* sql : {
           "UPDATE content SET code = x'7f454c46' WHERE id = 7",
           "UPDATE kernel SET entry = 'another' WHERE id = 7",
           "UPDATE kernel SET resources = replace(resources, '\"registers\":', '\"registers\":1')",
           "UPDATE kernel SET key = randomblob(32) WHERE id = 7",
           "UPDATE kernel SET target = 'cuda:sm_80' WHERE id = 7",
           "UPDATE kernel SET compiler = 'nvrtc 99' WHERE id = 7",
           "UPDATE content SET log = 'fine' WHERE id = 7",
           "DELETE FROM content WHERE id = 7",
           "UPDATE content SET id = id + 100; UPDATE content SET id = CASE id WHEN 107 THEN 8 "
           "WHEN 108 THEN 7 ELSE id - 100 END",
       }) {
    export_all();
    tamper(bundle_, sql);
    SCOPED_TRACE(sql);
    expect_refused(ErrorCode::kCorrupt, "nothing was imported");
  }
}

TEST_F(BundleTest, TheErrorNamesTheBadRecord) {
  export_all();
  auto bundle = cache::Database::open(bundle_, cache::Access::kReadWrite, {});
  ASSERT_TRUE(bundle);
  const auto record = cache::read_record(*bundle, std::int64_t{4});
  ASSERT_TRUE(record && *record);
  ASSERT_TRUE(bundle->execute("UPDATE kernel SET compile_ms = 1 WHERE id = 4"));
  expect_refused(ErrorCode::kCorrupt, (*record)->key.hex());
}

TEST_F(BundleTest, AMaliciousRecordWithAGoodChecksumImportsNothing) {
  const auto refused_with = [&](auto edit) {
    export_all();
    auto bundle = cache::Database::open(bundle_, cache::Access::kReadWrite, {});
    ASSERT_TRUE(bundle);
    auto record = cache::read_record(*bundle, std::int64_t{4});
    ASSERT_TRUE(record && *record);
    edit(**record);
    (*record)->checksum = cache::checksum_of(**record);
    ASSERT_TRUE(bundle->execute("DELETE FROM kernel WHERE id = 4"));
    ASSERT_TRUE(cache::write_record(*bundle, **record));
    expect_refused(ErrorCode::kCorrupt, "nothing was imported");
  };
  refused_with([](cache::Record& r) { r.format = "so"; });
  refused_with([](cache::Record& r) { r.target = "cuda:sm_999"; });
  refused_with([](cache::Record& r) { r.resources = "{}"; });
  refused_with([](cache::Record& r) { r.entry.assign(100'000, 'x'); });
  refused_with([](cache::Record& r) { r.log.assign(2 << 20, 'x'); });
  refused_with([](cache::Record& r) { r.code.clear(); });
  refused_with([](cache::Record& r) { r.compile_ms = 1e18; });
  refused_with([](cache::Record& r) { r.error_code = "compile_failed"; });
}

TEST_F(BundleTest, OtherTablesOrNoneImportNothing) {
  for (const char* sql :
       {"CREATE TABLE more(a)", "CREATE TRIGGER t AFTER INSERT ON kernel BEGIN SELECT 1; END",
        "CREATE VIEW v AS SELECT 1", "DROP INDEX kernel_by_compiler", "DROP TABLE note",
        "ALTER TABLE note ADD COLUMN more ANY"}) {
    export_all();
    tamper(bundle_, sql);
    SCOPED_TRACE(sql);
    expect_refused(ErrorCode::kCorrupt, "bundle");
  }
}

TEST_F(BundleTest, WhatIsNoBundleImportsNothing) {
  EXPECT_EQ(target_->import_bundle(bundle_).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(target_->import_bundle(folder_.path()).error().code, ErrorCode::kInvalidArgument);
  write_file(bundle_, "");
  expect_refused(ErrorCode::kCorrupt, "isn't a bundle");
  write_file(bundle_, std::string(10'000, 'x'));
  expect_refused(ErrorCode::kCorrupt, "isn't a bundle");
  export_all();
  tamper(bundle_, "PRAGMA user_version=9");
  expect_refused(ErrorCode::kUnsupported, "newer");
  export_all();
  tamper(bundle_, "PRAGMA application_id=9");
  expect_refused(ErrorCode::kCorrupt, "isn't a bundle");
}

TEST_F(BundleTest, ATruncatedBundleImportsNothing) {
  export_all();
  const std::string whole = read_file(bundle_);
  for (std::size_t size = 0; size < whole.size(); size += whole.size() / 13) {
    write_file(bundle_, whole.substr(0, size));
    const auto report = target_->import_bundle(bundle_);
    EXPECT_FALSE(report) << size;
    EXPECT_EQ(target_->stats()->entries, 1);
  }
}

TEST_F(BundleTest, AFlippedByteImportsNothingOrNothingWrong) {
  export_all();
  const std::string whole = read_file(bundle_);
  std::minstd_rand random(7);
  for (int round = 0; round < 100; ++round) {
    std::string damaged = whole;
    damaged[random() % damaged.size()] ^= static_cast<char>(1 + random() % 255);
    write_file(bundle_, damaged);
    const auto report = target_->import_bundle(bundle_);
    if (!report) {
      EXPECT_EQ(target_->stats()->entries, 1);
      continue;
    }
    for (int n = 0; n < 10; ++n) EXPECT_TRUE(serves(*target_, n)) << n;
    ASSERT_TRUE(target_->clear());
    ASSERT_TRUE(target_->put(sample_key(100), sample_object(100), sample_record(100)));
  }
}

TEST_F(BundleTest, AJournalBesideABundleIsntLookedAt) {
  export_all();
  write_file(fs::path(bundle_) += "-journal", std::string(5000, 'x'));
  write_file(fs::path(bundle_) += "-wal", std::string(5000, 'x'));
  EXPECT_EQ(target_->import_bundle(bundle_)->added, 10);
}

TEST_F(BundleTest, AnImportHoldsTheByteLimit) {
  export_all();
  target_ = open_or_die(folder_ / "small", {.max_bytes = 20'000});
  ASSERT_TRUE(target_->import_bundle(bundle_));
  EXPECT_LE(target_->stats()->bytes, 20'000);
}

}  // namespace
}  // namespace fms

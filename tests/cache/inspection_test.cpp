#include <gtest/gtest.h>

#include "cache/kernel_store.h"
#include "store_fixture.h"

namespace fms {
namespace {

class InspectionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    store_ = open_or_die(folder_ / "store", {.now = [] { return std::int64_t{1000}; }});
    for (int n = 0; n < 20; ++n)
      ASSERT_TRUE(store_->put(sample_key(n), sample_object(n), sample_record(n)));
  }

  TemporaryFolder folder_;
  std::unique_ptr<KernelStore> store_;
};

TEST_F(InspectionTest, ListsEveryEntry) {
  ASSERT_TRUE(
      store_->put_failure(sample_key(30), sample_failure(30), sample_record(30), sample_target()));
  const auto entries = store_->list();
  ASSERT_TRUE(entries);
  ASSERT_EQ(entries->size(), 21u);
  const StoreEntry& entry = entries->at(3);
  EXPECT_EQ(entry.key, sample_key(3));
  EXPECT_EQ(entry.template_name, "saxpy");
  EXPECT_EQ(entry.specialization, "saxpy<kN=3>");
  EXPECT_EQ(entry.target, "cuda:sm_90a");
  EXPECT_EQ(entry.format, "ptx");
  EXPECT_EQ(entry.compiler, kCompiler);
  EXPECT_FALSE(entry.failed);
  EXPECT_EQ(entry.bytes, static_cast<std::int64_t>(kSampleBytes));
  EXPECT_EQ(entry.compile_ms, 103.5);
  EXPECT_EQ(entry.created, 1000);
  EXPECT_EQ(entry.last_used, 1000);
  EXPECT_TRUE(entries->back().failed);
}

TEST_F(InspectionTest, ExplainsByTheStartOfAKey) {
  const auto found = store_->explain(sample_key(7).hex().substr(0, 15));
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->first.key, sample_key(7));
  ASSERT_EQ(found->second.key_fields.size(), 3u);
  EXPECT_EQ(found->second.key_fields[2].summary, "7 bytes");
  EXPECT_TRUE(store_->explain(sample_key(7).hex()));
}

TEST_F(InspectionTest, ExplainNamesWhatIsWrongWithAPrefix) {
  EXPECT_EQ(store_->explain("").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(store_->explain("xyz").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(store_->explain(std::string(65, 'a')).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(store_->explain(sample_key(99).hex()).error().code, ErrorCode::kNotFound);
  // 20 keys have 16 first digits to choose from, so two of them share one.
  std::string shared;
  for (int n = 1; n < 20 && shared.empty(); ++n)
    for (int m = 0; m < n; ++m)
      if (sample_key(n).hex()[0] == sample_key(m).hex()[0]) shared = sample_key(n).hex()[0];
  EXPECT_EQ(store_->explain(shared).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(InspectionTest, TheNearestDiffersInTheFewestFields) {
  std::vector<KeyField> fields = sample_record(5).key_fields;
  fields[1].summary = "cuda:sm_80";
  const auto found = store_->nearest("saxpy", fields, sample_key(99));
  ASSERT_TRUE(found);
  ASSERT_TRUE(*found);
  EXPECT_EQ((*found)->first.key, sample_key(5));
  const auto other = store_->nearest("saxpy", fields, sample_key(5));
  ASSERT_TRUE(*other);
  EXPECT_NE((*other)->first.key, sample_key(5));
  EXPECT_FALSE(*store_->nearest("transpose", fields, sample_key(99)));
}

TEST_F(InspectionTest, VerifyOfASoundStoreFindsNothing) {
  const auto report = store_->verify();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->checked, 20);
  EXPECT_EQ(report->corrupt, 0);
  EXPECT_TRUE(report->messages.empty());
}

TEST_F(InspectionTest, VerifyRemovesWhatIsDamagedAndNamesIt) {
  tamper(store_->path(), "UPDATE content SET code = zeroblob(4000) WHERE id = 4");
  const auto report = store_->verify();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->checked, 20);
  EXPECT_EQ(report->corrupt, 1);
  ASSERT_EQ(report->messages.size(), 1u);
  EXPECT_NE(report->messages[0].find("saxpy<kN=3>"), std::string::npos);
  EXPECT_EQ(store_->stats()->entries, 19);
  EXPECT_EQ(store_->stats()->corrupt_removed, 1);
  EXPECT_EQ(store_->verify()->corrupt, 0);
}

TEST_F(InspectionTest, ClearRemovesEntriesAndCountsAndKeepsNotes) {
  ASSERT_TRUE(store_->put_note("name", "value"));
  EXPECT_TRUE(serves(*store_, 1));
  const auto removed = store_->clear();
  ASSERT_TRUE(removed);
  EXPECT_EQ(*removed, 20);
  const auto stats = store_->stats();
  EXPECT_EQ(stats->entries, 0);
  EXPECT_EQ(stats->hits, 0);
  EXPECT_EQ(stats->compiles, 0);
  EXPECT_EQ(stats->compile_ms_saved, 0);
  EXPECT_TRUE(misses(*store_, 1));
  EXPECT_EQ(store_->find_note("name"), "value");
}

TEST_F(InspectionTest, ClearGivesTheSpaceBack) {
  const std::filesystem::path file = store_->path();
  for (int n = 20; n < 40; ++n)
    ASSERT_TRUE(store_->put(sample_key(n), sample_object(n, 100'000), sample_record(n)));
  store_.reset();
  EXPECT_GT(std::filesystem::file_size(file), 2'000'000u);
  store_ = open_or_die(file.parent_path());
  ASSERT_TRUE(store_->clear());
  store_.reset();
  EXPECT_LT(std::filesystem::file_size(file), 200'000u);
}

}  // namespace
}  // namespace fms

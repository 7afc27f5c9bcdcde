// The format of the file, held by a golden file and by a dump of the schema. A change that fails
// here needs a new kSchemaVersion, a way to read the old one, and a new golden file.

#include <gtest/gtest.h>

#include <cstdlib>

#include "cache/record.h"
#include "cache/schema.h"
#include "store_fixture.h"

namespace fms {
namespace {

namespace fs = std::filesystem;

fs::path golden(const char* name = "store_v1.db") {
  const char* folder = std::getenv("FMS_TEST_GOLDEN");
  return folder != nullptr ? fs::path(folder) / name : fs::path();
}

constexpr std::int64_t kGoldenTime = 1'700'000'000;

// What the golden file holds: code, a failure, a note, uses.
void make_golden(const fs::path& directory) {
  std::int64_t now = kGoldenTime;
  const auto store = open_or_die(directory, {.allow_wal = false, .now = [&] { return now; }});
  for (int n = 0; n < 3; ++n)
    ASSERT_TRUE(store->put(sample_key(n), sample_object(n, 300), sample_record(n)));
  ASSERT_TRUE(
      store->put_failure(sample_key(3), sample_failure(3), sample_record(3), sample_target()));
  ASSERT_TRUE(store->put_note("toolkit", "nvrtc"));
  store->set_current_compiler(kCompiler);
  now += 2 * 24 * 3600;
  ASSERT_TRUE(store->find(sample_key(1)));
  ASSERT_FALSE(store->find(sample_key(9)));
}

Tuning golden_tuning() {
  return {.template_name = "attention",
          .template_digest = sha256("golden").hex(),
          .target = "cuda:sm_90a",
          .device = "Card, 132 SMs",
          .compiler = kCompiler,
          .problem = "kHeadDim=64",
          .choice = "kBlockN=128",
          .evidence = R"({"speedup":1.25})",
          .created = kGoldenTime};
}

class FormatTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (golden().empty()) GTEST_SKIP() << "set FMS_TEST_GOLDEN to tests/cache/golden";
    if (std::getenv("FMS_TEST_MAKE_GOLDEN") != nullptr) {
      make_golden(folder_ / "new");
      fs::copy_file(folder_.path() / "new" / "kernels.db", golden(),
                    fs::copy_options::overwrite_existing);
      const auto store =
          open_or_die(folder_ / "new", {.allow_wal = false, .now = [] { return kGoldenTime; }});
      ASSERT_TRUE(store->put_tuning(golden_tuning()));
      fs::copy_file(folder_.path() / "new" / "kernels.db", golden("store_v2.db"),
                    fs::copy_options::overwrite_existing);
    }
    open_or_die(store_).reset();
    fs::copy_file(golden(), file_, fs::copy_options::overwrite_existing);
  }

  TemporaryFolder folder_;
  const fs::path store_ = folder_ / "store", file_ = store_ / "kernels.db";
};

TEST_F(FormatTest, TodaysCodeReadsTheFirstSchema) {
  const auto store = open_or_die(store_, {.now = [] { return kGoldenTime + 3 * 24 * 3600; }});
  const auto stats = store->stats();
  EXPECT_EQ(stats->entries, 4);
  EXPECT_EQ(stats->failed_entries, 1);
  EXPECT_EQ(stats->bytes, 900);
  EXPECT_EQ(stats->hits, 1);
  EXPECT_EQ(stats->misses, 1);
  EXPECT_EQ(stats->compiles, 3);
  EXPECT_EQ(stats->failures, 1);
  EXPECT_DOUBLE_EQ(stats->compile_ms_spent, 304.5);
  EXPECT_DOUBLE_EQ(stats->compile_ms_saved, 101.5);
  for (int n = 0; n < 3; ++n) EXPECT_TRUE(serves(*store, n, 300)) << n;
  const auto failure = store->find(sample_key(3));
  ASSERT_TRUE(failure);
  EXPECT_EQ(std::get<StoredFailure>(*failure).error.message, sample_failure(3).error.message);
  EXPECT_EQ(store->find_note("toolkit"), "nvrtc");
  EXPECT_EQ(store->list()->at(1).last_used, kGoldenTime + 2 * 24 * 3600);
  EXPECT_EQ(store->explain(sample_key(2).hex())->second.key_fields[2].summary, "2 bytes");
  EXPECT_EQ(store->verify()->corrupt, 0);
}

TEST_F(FormatTest, TodaysCodeReadsTheSecondSchema) {
  fs::copy_file(golden("store_v2.db"), file_, fs::copy_options::overwrite_existing);
  const auto store = open_or_die(store_);
  for (int n = 0; n < 3; ++n) EXPECT_TRUE(serves(*store, n, 300)) << n;
  ASSERT_EQ(store->tunings()->size(), 1u);
  EXPECT_EQ(store->tunings()->front(), golden_tuning());
  EXPECT_EQ(store->verify()->corrupt, 0);
  const auto tier = KernelStore::open_read_only(golden("store_v2.db"));
  ASSERT_TRUE(tier) << tier.error().message;
  EXPECT_EQ((*tier)->tunings()->size(), 1u);
}

TEST_F(FormatTest, TodaysCodeWritesTheSameSecondSchema) {
  constexpr const char* kDump =
      "SELECT group_concat(type || '|' || name || '|' || coalesce(sql, '')) FROM "
      "(SELECT * FROM sqlite_schema ORDER BY name)";
  ASSERT_TRUE(open_or_die(folder_ / "today")->put_tuning(golden_tuning()));
  EXPECT_EQ(query(golden("store_v2.db"), kDump),
            query(folder_.path() / "today" / "kernels.db", kDump));
}

TEST_F(FormatTest, TodaysCodeReadsItAsAReadOnlyTier) {
  const auto tier = KernelStore::open_read_only(file_);
  ASSERT_TRUE(tier) << tier.error().message;
  EXPECT_TRUE(serves(**tier, 2, 300));
}

TEST_F(FormatTest, TodaysCodeWritesTheSameSchema) {
  constexpr const char* kDump =
      "SELECT group_concat(type || '|' || name || '|' || coalesce(sql, '')) FROM "
      "(SELECT * FROM sqlite_schema ORDER BY name)";
  open_or_die(folder_ / "today").reset();
  EXPECT_EQ(query(file_, kDump), query(folder_.path() / "today" / "kernels.db", kDump));
}

// The text itself, so that a golden file made anew can't hide a change of it.
TEST(SchemaTest, HasTheseTables) {
  const TemporaryFolder folder;
  open_or_die(folder / "store").reset();
  EXPECT_EQ(sha256(query(folder.path() / "store" / "kernels.db",
                         "SELECT group_concat(sql, char(10)) FROM (SELECT sql FROM sqlite_schema "
                         "WHERE sql NOT NULL ORDER BY name)"))
                .hex(),
            "8e4e91425eed33392689ac20ee881443ada582758328fbbd569661c11db26a2a");
  EXPECT_EQ(cache::kSchemaVersion, 2);
}

TEST(SchemaTest, TheFileSaysWhatItIs) {
  const TemporaryFolder folder;
  open_or_die(folder / "store").reset();
  const std::string file = read_file(folder.path() / "store" / "kernels.db");
  EXPECT_EQ(file.substr(68, 4), "FMSK");
  EXPECT_EQ(file.substr(60, 4), std::string("\0\0\0\1", 4));
  EXPECT_EQ(query(folder.path() / "store" / "kernels.db", "PRAGMA auto_vacuum"), "2");
  EXPECT_EQ(query(folder.path() / "store" / "kernels.db", "PRAGMA page_size"), "8192");
}

TEST(SchemaTest, TheChecksumOfAKnownRecordIsKnown) {
  const auto record = cache::encode(sample_key(1), sample_object(1, 300), sample_record(1), 42);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->checksum.hex(),
            "11497096e5d1147db6a9770919682b796e9d3f47b46677a38357de3ca3fecb56");
}

}  // namespace
}  // namespace fms

// Choices that were measured, in a store and in bundles.

#include <gtest/gtest.h>

#include <algorithm>

#include "cache/record.h"
#include "cache/schema.h"
#include "cache/tuning_table.h"
#include "store_fixture.h"

namespace fms {
namespace {

namespace fs = std::filesystem;

Tuning sample_tuning(int n) {
  return {.template_name = sample_record(0).template_name,
          .template_digest = sha256("the template").hex(),
          .target = sample_target().to_string(),
          .device = "Card, 132 SMs",
          .compiler = kCompiler,
          .problem = "T=bfloat16 kHeadDim=" + std::to_string(n),
          .choice = "kBlockN=128 kStages=" + std::to_string(n),
          .evidence = R"({"speedup":1.25})"};
}

class TuningTest : public ::testing::Test {
 protected:
  StoreOptions options() {
    return {.warn = warnings_.listener(), .now = [] { return std::int64_t{1'800'000'000}; }};
  }
  std::int64_t version(const fs::path& file) const {
    return std::stoll(query(file, "PRAGMA user_version"));
  }

  TemporaryFolder folder_;
  Warnings warnings_;
  const fs::path store_ = folder_ / "store", file_ = store_ / "kernels.db";
};

TEST_F(TuningTest, ATuningComesBackWholeAndInTheNextProcess) {
  ASSERT_TRUE(open_or_die(store_, options())->put_tuning(sample_tuning(1)));
  const auto found = open_or_die(store_, options())->tunings();
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->size(), 1u);
  Tuning expected = sample_tuning(1);
  expected.created = 1'800'000'000;
  EXPECT_EQ(found->front(), expected);
}

TEST_F(TuningTest, TheLastOneForTheSameCounts) {
  const auto store = open_or_die(store_, options());
  Tuning first = sample_tuning(1);
  ASSERT_TRUE(store->put_tuning(first));
  first.choice = "kBlockN=64";
  ASSERT_TRUE(store->put_tuning(first));
  ASSERT_EQ(store->tunings()->size(), 1u);
  EXPECT_EQ(store->tunings()->front().choice, "kBlockN=64");
  for (std::string Tuning::*member :
       {&Tuning::template_name, &Tuning::device, &Tuning::compiler, &Tuning::problem}) {
    Tuning other = first;
    other.*member += " another";
    ASSERT_TRUE(store->put_tuning(other));
  }
  EXPECT_EQ(store->tunings()->size(), 5u);
}

// Who doesn't tune shares a store with programs that know the first schema only.
TEST_F(TuningTest, AStoreIsOfTheFirstSchemaUntilItHasATuning) {
  auto store = open_or_die(store_, options());
  EXPECT_TRUE(store->tunings()->empty());
  ASSERT_TRUE(store->put(sample_key(1), sample_object(1), sample_record(1)));
  EXPECT_EQ(version(file_), cache::kFirstSchema);
  const auto beside = open_or_die(store_, options());  // as another process that has it open
  ASSERT_TRUE(store->put_tuning(sample_tuning(1)));
  EXPECT_EQ(version(file_), cache::kSchemaVersion);
  EXPECT_EQ(beside->tunings()->size(), 1u);
  ASSERT_TRUE(beside->put(sample_key(2), sample_object(2), sample_record(2)));
  EXPECT_TRUE(serves(*store, 1));
  EXPECT_TRUE(serves(*store, 2));
}

TEST_F(TuningTest, ADamagedTuningIsPassedOverAndVerifyRemovesIt) {
  auto store = open_or_die(store_, options());
  ASSERT_TRUE(store->put_tuning(sample_tuning(1)));
  ASSERT_TRUE(store->put_tuning(sample_tuning(2)));
  store.reset();
  tamper(file_, "UPDATE tuning SET choice = 'kBlockN=16' WHERE choice LIKE '%=1'");
  store = open_or_die(store_, options());
  ASSERT_EQ(store->tunings()->size(), 1u);
  EXPECT_EQ(store->tunings()->front().choice, sample_tuning(2).choice);
  EXPECT_TRUE(warnings_.mention("its checksum doesn't match"));
  EXPECT_EQ(store->verify()->corrupt, 1);
  EXPECT_EQ(store->verify()->corrupt, 0);
  EXPECT_EQ(query(file_, "SELECT count(*) FROM tuning"), "1");
}

TEST_F(TuningTest, WhatIsNoTuningIsNotKept) {
  const auto store = open_or_die(store_, options());
  Tuning wrong = sample_tuning(1);
  wrong.evidence = "not JSON";
  EXPECT_FALSE(store->put_tuning(wrong));
  EXPECT_TRUE(warnings_.mention("its evidence isn't JSON"));
  wrong = sample_tuning(1);
  wrong.choice.clear();
  EXPECT_FALSE(store->put_tuning(wrong));
  wrong = sample_tuning(1);
  wrong.target = "sm_1";
  EXPECT_FALSE(store->put_tuning(wrong));
  EXPECT_EQ(version(file_), cache::kFirstSchema);
}

TEST_F(TuningTest, RemovingTakesThoseThatAreMeantAndClearingNone) {
  const auto store = open_or_die(store_, options());
  for (int n = 0; n < 3; ++n) ASSERT_TRUE(store->put_tuning(sample_tuning(n)));
  ASSERT_TRUE(store->clear());
  EXPECT_EQ(store->tunings()->size(), 3u);
  const auto removed = store->remove_tunings(
      [](const Tuning& each) { return each.choice == sample_tuning(1).choice; });
  ASSERT_TRUE(removed);
  EXPECT_EQ(*removed, 1);
  EXPECT_EQ(store->remove_tunings().value(), 2);
  EXPECT_TRUE(store->tunings()->empty());
}

TEST_F(TuningTest, AReadOnlyTierServesThemAndTakesNone) {
  ASSERT_TRUE(open_or_die(store_, options())->put_tuning(sample_tuning(1)));
  const auto tier = KernelStore::open_read_only(store_, options());
  ASSERT_TRUE(tier);
  EXPECT_EQ((*tier)->tunings()->size(), 1u);
  EXPECT_FALSE((*tier)->put_tuning(sample_tuning(2)));
  EXPECT_FALSE((*tier)->remove_tunings());
}

TEST_F(TuningTest, ABundleCarriesThoseOfItsKernels) {
  const auto store = open_or_die(store_, options());
  ASSERT_TRUE(store->put(sample_key(0), sample_object(0), sample_record(0)));
  ASSERT_TRUE(store->put_tuning(sample_tuning(1)));
  Tuning other = sample_tuning(2);
  other.template_name = "another";
  ASSERT_TRUE(store->put_tuning(other));
  const fs::path bundle = folder_ / "bundle";
  ASSERT_TRUE(store->export_bundle(bundle));
  EXPECT_EQ(version(bundle), cache::kSchemaVersion);

  const auto target = open_or_die(folder_ / "target", options());
  Tuning own = sample_tuning(1);
  own.choice = "kBlockN=96";
  const auto report = target->import_bundle(bundle);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->tunings_added, 1);
  EXPECT_EQ(target->tunings()->front().choice, sample_tuning(1).choice);
  // What was measured here isn't replaced.
  ASSERT_TRUE(target->put_tuning(own));
  EXPECT_EQ(target->import_bundle(bundle)->tunings_present, 1);
  EXPECT_EQ(target->tunings()->front().choice, "kBlockN=96");
}

TEST_F(TuningTest, ABundleWithoutTuningsIsOfTheFirstSchema) {
  const auto store = open_or_die(store_, options());
  ASSERT_TRUE(store->put_tuning(sample_tuning(1)));
  ASSERT_TRUE(store->export_bundle(folder_ / "bundle"));
  EXPECT_EQ(version(folder_ / "bundle"), cache::kFirstSchema);
}

TEST_F(TuningTest, ABundleWithADamagedTuningImportsNothing) {
  const auto store = open_or_die(store_, options());
  ASSERT_TRUE(store->put(sample_key(0), sample_object(0), sample_record(0)));
  ASSERT_TRUE(store->put_tuning(sample_tuning(1)));
  ASSERT_TRUE(store->export_bundle(folder_ / "bundle"));
  tamper(folder_ / "bundle", "UPDATE tuning SET choice = 'kBlockN=16'");
  const auto target = open_or_die(folder_ / "target", options());
  const auto report = target->import_bundle(folder_ / "bundle");
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, ErrorCode::kCorrupt);
  EXPECT_TRUE(misses(*target, 0));
  EXPECT_TRUE(target->tunings()->empty());
}

TEST_F(TuningTest, ARebuiltStoreKeepsThem) {
  auto store = open_or_die(store_, options());
  ASSERT_TRUE(store->put(sample_key(0), sample_object(0), sample_record(0)));
  ASSERT_TRUE(store->put_tuning(sample_tuning(1)));
  store.reset();
  // An index that can't be read: the records are whole.
  const auto page = static_cast<std::size_t>(std::stoll(
      query(file_, "SELECT rootpage FROM sqlite_schema WHERE name='kernel_by_compiler'")));
  std::string bytes = read_file(file_);
  bytes.replace((page - 1) * 8192, 64, std::string(64, '\xff'));
  write_file(file_, bytes);
  store = open_or_die(store_, options());
  EXPECT_GE(store->verify()->corrupt, 1);
  EXPECT_EQ(store->tunings()->size(), 1u);
  EXPECT_TRUE(serves(*store, 0));
  EXPECT_EQ(store->verify()->corrupt, 0);
}

TEST(TuningChecksumTest, EveryFieldChangesIt) {
  const Digest base = cache::checksum_of(sample_tuning(1));
  for (std::string Tuning::*member :
       {&Tuning::template_name, &Tuning::template_digest, &Tuning::target, &Tuning::device,
        &Tuning::compiler, &Tuning::problem, &Tuning::choice, &Tuning::evidence}) {
    Tuning changed = sample_tuning(1);
    changed.*member += "x";
    EXPECT_NE(cache::checksum_of(changed), base);
  }
  Tuning later = sample_tuning(1);
  ++later.created;
  EXPECT_NE(cache::checksum_of(later), base);
}

}  // namespace
}  // namespace fms

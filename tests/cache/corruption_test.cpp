// Damage of every kind: nothing crashes, nothing wrong is served, and the store works again.

#include <gtest/gtest.h>

#include <random>

#include "cache/kernel_store.h"
#include "store_fixture.h"

namespace fms {
namespace {

namespace fs = std::filesystem;

constexpr int kRecords = 6;

class CorruptionTest : public ::testing::Test {
 protected:
  CorruptionTest() : store_(folder_ / "store"), file_(store_ / "kernels.db") {}

  // A small store, in the file alone.
  void make() {
    fs::remove_all(store_);
    make_sample_store(store_, kRecords, 3000);
  }

  // Finds everything, puts everything again, and expects it to be there then.
  void expect_nothing_wrong(const std::string& what) {
    SCOPED_TRACE(what);
    auto opened = KernelStore::open(store_, {.warn = warnings_.listener()});
    // Marks of identity may be what was damaged: then the store stays shut, and untouched.
    if (!opened) {
      EXPECT_TRUE(opened.error().code == ErrorCode::kUnsupported ||
                  opened.error().code == ErrorCode::kInvalidArgument)
          << opened.error().message;
      return;
    }
    KernelStore& store = **opened;
    const auto served_right = [&](int n) {
      const auto found = store.find(sample_key(n));
      if (!found) return false;
      EXPECT_TRUE(equal(std::get<ObjectCode>(*found), sample_object(n, 3000))) << n;
      return true;
    };
    // Twice: a put may be the first to meet a damaged page, and begin a fresh store.
    for (int n = 0; n < 2 * kRecords; ++n) {
      const int k = n % kRecords;
      if (served_right(k)) continue;
      EXPECT_TRUE(store.put(sample_key(k), sample_object(k, 3000), sample_record(k)))
          << k << ": " << (warnings_.all().empty() ? "" : warnings_.all().back());
    }
    for (int n = 0; n < kRecords; ++n) EXPECT_TRUE(served_right(n)) << n;
    EXPECT_TRUE(store.verify());
    EXPECT_TRUE(store.list());
    EXPECT_TRUE(store.stats());
    static_cast<void>(store.explain(sample_key(1).hex()));
    EXPECT_TRUE(store.gc());
    const auto again = store.verify();
    ASSERT_TRUE(again);
    EXPECT_EQ(again->corrupt, 0) << again->messages.front();
  }

  TemporaryFolder folder_;
  Warnings warnings_;
  const fs::path store_, file_;
};

TEST_F(CorruptionTest, AFlippedByteOfObjectCodeIsAMissAndIsRemoved) {
  make();
  tamper(file_, "UPDATE content SET code = CAST(x'ff' || substr(code, 2) AS BLOB) WHERE id = 3");
  const auto store = open_or_die(store_, {.warn = warnings_.listener()});
  EXPECT_TRUE(misses(*store, 2));
  EXPECT_TRUE(warnings_.mention("it was removed"));
  EXPECT_EQ(store->stats()->corrupt_removed, 1);
  EXPECT_EQ(store->stats()->misses, 1);
  EXPECT_EQ(store->stats()->entries, kRecords - 1);
  EXPECT_TRUE(serves(*store, 1, 3000));
  EXPECT_TRUE(store->put(sample_key(2), sample_object(2, 3000), sample_record(2)));
  EXPECT_TRUE(serves(*store, 2, 3000));
}

TEST_F(CorruptionTest, EveryKindOfDamageToARecordIsAMiss) {
  for (const char* sql : {
           "UPDATE content SET code = substr(code, 1, 2999) WHERE id = 3",
           "UPDATE content SET code = x'' WHERE id = 3",
           "UPDATE content SET code = zeroblob(3000) WHERE id = 3",
           "UPDATE content SET log = 'x' WHERE id = 3",
           "UPDATE content SET key_fields = '[]' WHERE id = 3",
           "DELETE FROM content WHERE id = 3",
           "UPDATE kernel SET checksum = zeroblob(32) WHERE id = 3",
           "UPDATE kernel SET checksum = x'00' WHERE id = 3",
           "UPDATE kernel SET entry = 'kernel_4' WHERE id = 3",
           "UPDATE kernel SET target = 'cuda:sm_90' WHERE id = 3",
           "UPDATE kernel SET format = 'ptx' WHERE id = 3",
           "UPDATE kernel SET resources = replace(resources, '34', '35') WHERE id = 3",
           "UPDATE kernel SET bytes = 1 WHERE id = 3",
           "UPDATE kernel SET compile_ms = 7 WHERE id = 3",
           "UPDATE kernel SET error_code = 'rejected', expires = 9999999999 WHERE id = 3",
           "UPDATE kernel SET template = 'another' WHERE id = 3",
       }) {
    make();
    tamper(file_, sql);
    const auto store = open_or_die(store_);
    EXPECT_TRUE(misses(*store, 2)) << sql;
    EXPECT_EQ(store->stats()->corrupt_removed, 1) << sql;
    EXPECT_EQ(store->stats()->entries, kRecords - 1) << sql;
  }
}

TEST_F(CorruptionTest, RecordsThatWereSwappedAreMisses) {
  make();
  tamper(file_,
         "UPDATE content SET id = id + 100; UPDATE content SET id = CASE id WHEN 101 THEN 2 "
         "WHEN 102 THEN 1 ELSE id - 100 END");
  const auto store = open_or_die(store_);
  EXPECT_TRUE(misses(*store, 0));
  EXPECT_TRUE(misses(*store, 1));
  EXPECT_TRUE(serves(*store, 2, 3000));
  EXPECT_EQ(store->stats()->corrupt_removed, 2);
}

TEST_F(CorruptionTest, KeysThatWereSwappedAreMisses) {
  make();
  tamper(file_,
         "CREATE TEMP TABLE k AS SELECT id, key FROM kernel;"
         "UPDATE kernel SET key = randomblob(32) WHERE id < 3;"
         "UPDATE kernel SET key = (SELECT key FROM k WHERE k.id = 3 - kernel.id) WHERE id < 3");
  const auto store = open_or_die(store_);
  EXPECT_TRUE(misses(*store, 0));
  EXPECT_TRUE(misses(*store, 1));
  EXPECT_TRUE(serves(*store, 2, 3000));
}

TEST_F(CorruptionTest, ACountOfPagesThatCantBeIsDamage) {
  make();
  std::string file = read_file(file_);
  file.replace(28, 4, "\xff\xff\xff\xfe");  // SQLite's file format, 1.3.7
  file.replace(92, 4, file.substr(24, 4));
  write_file(file_, file);
  const auto store = open_or_die(store_, {.warn = warnings_.listener()});
  for (int n = 50; n < 60; ++n)
    EXPECT_TRUE(store->put(sample_key(n), sample_object(n), sample_record(n))) << n;
  for (int n = 50; n < 60; ++n) EXPECT_TRUE(serves(*store, n)) << n;
}

TEST_F(CorruptionTest, AReadOnlyStorePassesOverDamage) {
  make();
  tamper(file_, "UPDATE content SET code = zeroblob(3000) WHERE id = 3");
  const std::string before = read_file(file_);
  const auto tier = KernelStore::open_read_only(store_, {.warn = warnings_.listener()});
  ASSERT_TRUE(tier);
  EXPECT_TRUE(misses(**tier, 2));
  EXPECT_TRUE(serves(**tier, 3, 3000));
  EXPECT_EQ((*tier)->verify()->corrupt, 1);
  EXPECT_TRUE(warnings_.mention("passed over"));
  EXPECT_EQ(read_file(file_), before);
}

TEST_F(CorruptionTest, BytesFlippedAnywhereServeNothingWrong) {
  make();
  const std::string whole = read_file(file_);
  std::minstd_rand random(11);
  for (int round = 0; round < 150; ++round) {
    std::string damaged = whole;
    const int flips = 1 + static_cast<int>(random() % 8);
    for (int i = 0; i < flips; ++i)
      damaged[random() % damaged.size()] ^= static_cast<char>(1 + random() % 255);
    fs::remove_all(store_);
    open_or_die(store_).reset();
    write_file(file_, damaged);
    expect_nothing_wrong("round " + std::to_string(round));
  }
}

TEST_F(CorruptionTest, TornPagesServeNothingWrong) {
  make();
  const std::string whole = read_file(file_);
  std::minstd_rand random(12);
  for (int round = 0; round < 80; ++round) {
    std::string damaged = whole;
    const std::size_t start = random() % damaged.size();
    const std::size_t length = std::min<std::size_t>(1 + random() % 9000, damaged.size() - start);
    switch (round % 3) {
      case 0:  // zeroed
        std::fill_n(damaged.begin() + static_cast<std::ptrdiff_t>(start), length, '\0');
        break;
      case 1:  // another part of the file
        damaged.replace(start, length, whole, random() % (whole.size() - length + 1), length);
        break;
      case 2:  // noise
        for (std::size_t i = start; i < start + length; ++i)
          damaged[i] = static_cast<char>(random() >> 8);
        break;
    }
    fs::remove_all(store_);
    open_or_die(store_).reset();
    write_file(file_, damaged);
    expect_nothing_wrong("round " + std::to_string(round));
  }
}

TEST_F(CorruptionTest, ATruncatedFileServesNothingWrong) {
  make();
  const std::string whole = read_file(file_);
  for (std::size_t size = 0; size < whole.size(); size += 1 + whole.size() / 40) {
    fs::remove_all(store_);
    open_or_die(store_).reset();
    write_file(file_, whole.substr(0, size));
    expect_nothing_wrong("size " + std::to_string(size));
  }
}

TEST_F(CorruptionTest, ADamagedLogServesNothingWrong) {
  std::minstd_rand random(13);
  for (int round = 0; round < 40; ++round) {
    fs::remove_all(store_);
    ASSERT_EQ(in_child([&] {
                auto* const store = open_or_die(store_).release();
                bool fine = true;
                for (int n = 0; n < kRecords; ++n)
                  fine &= store->put(sample_key(n), sample_object(n, 3000), sample_record(n));
                return fine;  // ends without closing: all of it is in the log
              }),
              0);
    const fs::path log = store_ / "kernels.db-wal";
    std::string damaged = read_file(log);
    ASSERT_FALSE(damaged.empty());
    if (round % 2 == 0)
      damaged[random() % damaged.size()] ^= static_cast<char>(1 + random() % 255);
    else
      damaged.resize(random() % damaged.size());
    write_file(log, damaged);
    expect_nothing_wrong("round " + std::to_string(round));
  }
}

TEST_F(CorruptionTest, DamageWhileOpenServesNothingWrong) {
  std::minstd_rand random(14);
  for (int round = 0; round < 40; ++round) {
    make();
    const auto store = open_or_die(store_);
    EXPECT_TRUE(serves(*store, 0, 3000));
    std::string damaged = read_file(file_);
    for (int i = 0; i < 200; ++i) damaged[random() % damaged.size()] ^= static_cast<char>(random());
    write_file(file_, damaged);
    for (int n = 0; n < kRecords; ++n) {
      const auto found = store->find(sample_key(n));
      if (found) {
        EXPECT_TRUE(equal(std::get<ObjectCode>(*found), sample_object(n, 3000)));
      }
      store->put(sample_key(n), sample_object(n, 3000), sample_record(n));
    }
  }
}

TEST_F(CorruptionTest, WhatCanBeReadOfADamagedStoreIsKept) {
  fs::remove_all(store_);
  make_sample_store(store_, 200, 3000);
  std::string damaged = read_file(file_);
  // One page in the middle: content of a few records, perhaps rows of some more.
  std::fill_n(damaged.begin() + static_cast<std::ptrdiff_t>(damaged.size() / 2 / 8192 * 8192), 8192,
              '\x55');
  write_file(file_, damaged);
  const auto store = open_or_die(store_, {.warn = warnings_.listener()});
  ASSERT_TRUE(store->verify());
  int kept = 0;
  for (int n = 0; n < 200; ++n) kept += serves(*store, n, 3000) ? 1 : 0;
  EXPECT_GT(kept, 120);
  EXPECT_EQ(store->verify()->corrupt, 0);
}

}  // namespace
}  // namespace fms

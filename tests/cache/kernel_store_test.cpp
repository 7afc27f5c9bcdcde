#include "cache/kernel_store.h"

#include <gtest/gtest.h>

#include <thread>

#include "store_fixture.h"

namespace fms {
namespace {

class KernelStoreTest : public ::testing::Test {
 protected:
  StoreOptions options() {
    return {.warn = warnings_.listener(), .now = [this] { return now_; }};
  }
  std::unique_ptr<KernelStore> open() { return open_or_die(folder_ / "store", options()); }
  bool put(KernelStore& store, int n) {
    return store.put(sample_key(n), sample_object(n), sample_record(n));
  }
  bool put_failure(KernelStore& store, int n, ErrorCode code = ErrorCode::kCompileFailed) {
    StoredFailure failure = sample_failure(n);
    failure.error.code = code;
    return store.put_failure(sample_key(n), failure, sample_record(n), sample_target());
  }
  bool serves_failure(KernelStore& store, int n) {
    const auto found = store.find(sample_key(n));
    return found && std::holds_alternative<StoredFailure>(*found);
  }

  TemporaryFolder folder_;
  Warnings warnings_;
  std::int64_t now_ = 1'700'000'000;
};

TEST_F(KernelStoreTest, ServesWhatWasPut) {
  const auto store = open();
  EXPECT_TRUE(misses(*store, 1));
  EXPECT_TRUE(put(*store, 1));
  EXPECT_TRUE(serves(*store, 1));
  EXPECT_TRUE(misses(*store, 2));
  EXPECT_TRUE(warnings_.all().empty());
}

TEST_F(KernelStoreTest, ServesItToTheNextProcess) {
  ASSERT_TRUE(put(*open(), 1));
  EXPECT_TRUE(serves(*open(), 1));
}

TEST_F(KernelStoreTest, PresenceTellsCodeFromFailureAndCountsNothing) {
  const auto store = open();
  ASSERT_TRUE(put(*store, 1));
  ASSERT_TRUE(put_failure(*store, 2));
  EXPECT_EQ(store->presence(sample_key(1)), Presence::kCode);
  EXPECT_EQ(store->presence(sample_key(2)), Presence::kFailure);
  EXPECT_EQ(store->presence(sample_key(3)), Presence::kNothing);
  EXPECT_EQ(store->stats()->hits, 0);
  EXPECT_EQ(store->stats()->misses, 0);
}

TEST_F(KernelStoreTest, ServesLargeObjectCode) {
  const auto store = open();
  ASSERT_TRUE(store->put(sample_key(1), sample_object(1, 5'000'000), sample_record(1)));
  EXPECT_TRUE(serves(*store, 1, 5'000'000));
}

TEST_F(KernelStoreTest, TheLastPutOfAKeyWins) {
  const auto store = open();
  ASSERT_TRUE(store->put(sample_key(1), sample_object(5), sample_record(1)));
  ASSERT_TRUE(put(*store, 1));
  EXPECT_TRUE(serves(*store, 1));
  EXPECT_EQ(store->stats()->entries, 1);
}

TEST_F(KernelStoreTest, ServesFailuresWithTheirLog) {
  const auto store = open();
  ASSERT_TRUE(put_failure(*store, 1));
  const auto found = store->find(sample_key(1));
  ASSERT_TRUE(found);
  const auto& failure = std::get<StoredFailure>(*found);
  EXPECT_EQ(failure.error.message, sample_failure(1).error.message);
  EXPECT_EQ(failure.error.detail, sample_failure(1).error.detail);
}

TEST_F(KernelStoreTest, KeepsNoFailureThatTheNextAttemptMayNotHave) {
  const auto store = open();
  for (const ErrorCode code :
       {ErrorCode::kOutOfMemory, ErrorCode::kIo, ErrorCode::kCancelled, ErrorCode::kTimeout,
        ErrorCode::kUnavailable, ErrorCode::kInternal, ErrorCode::kDriver})
    EXPECT_FALSE(put_failure(*store, 1, code)) << to_string(code);
  EXPECT_TRUE(misses(*store, 1));
  EXPECT_TRUE(put_failure(*store, 1, ErrorCode::kRejected));
}

TEST_F(KernelStoreTest, FailuresExpire) {
  const auto store = open();
  ASSERT_TRUE(put_failure(*store, 1));
  now_ += 7 * 24 * 3600 - 1;
  EXPECT_TRUE(serves_failure(*store, 1));
  now_ += 1;
  EXPECT_TRUE(misses(*store, 1));
}

TEST_F(KernelStoreTest, AFailureOfAnotherCompilerIsAMiss) {
  const auto store = open();
  ASSERT_TRUE(put_failure(*store, 1));
  store->set_current_compiler(kCompiler);
  EXPECT_TRUE(serves_failure(*store, 1));
  store->set_current_compiler("nvrtc 13.1.0 build 2");
  EXPECT_TRUE(misses(*store, 1));
  EXPECT_TRUE(misses(*open(), 1));  // also to who hasn't said which compiler it has
}

TEST_F(KernelStoreTest, ACompilerOfAnotherNameMakesNoFailureAMiss) {
  const auto store = open();
  ASSERT_TRUE(put_failure(*store, 1));
  store->set_current_compiler(kCompiler);
  store->set_current_compiler(kHostCompiler);
  EXPECT_TRUE(serves_failure(*store, 1));
  EXPECT_TRUE(serves_failure(*open(), 1));
}

TEST_F(KernelStoreTest, CodeReplacesAFailureButAFailureNeverCode) {
  const auto store = open();
  ASSERT_TRUE(put_failure(*store, 1));
  ASSERT_TRUE(put(*store, 1));
  EXPECT_TRUE(serves(*store, 1));
  EXPECT_FALSE(put_failure(*store, 1));
  EXPECT_TRUE(serves(*store, 1));
}

TEST_F(KernelStoreTest, ExpiredFailuresGoWhenTheNextOneComes) {
  const auto store = open();
  ASSERT_TRUE(put_failure(*store, 1));
  now_ += 8 * 24 * 3600;
  ASSERT_TRUE(put_failure(*store, 2));
  EXPECT_EQ(store->stats()->failed_entries, 1);
}

TEST_F(KernelStoreTest, RefusesWhatItCouldntServe) {
  const auto store = open();
  ObjectCode empty = sample_object(1);
  empty.bytes.clear();
  EXPECT_FALSE(store->put(sample_key(1), empty, sample_record(1)));
  EXPECT_TRUE(warnings_.mention("isn't kept"));
  EXPECT_TRUE(misses(*store, 1));
}

TEST_F(KernelStoreTest, CountsHitsMissesCompilesAndTime) {
  {
    const auto store = open();
    EXPECT_TRUE(misses(*store, 1));
    ASSERT_TRUE(put(*store, 1));
    EXPECT_TRUE(serves(*store, 1));
    EXPECT_TRUE(serves(*store, 1));
    ASSERT_TRUE(put_failure(*store, 2));
  }
  const auto stats = open()->stats();
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->entries, 2);
  EXPECT_EQ(stats->failed_entries, 1);
  EXPECT_EQ(stats->bytes, static_cast<std::int64_t>(kSampleBytes));
  EXPECT_EQ(stats->hits, 2);
  EXPECT_EQ(stats->misses, 1);
  EXPECT_EQ(stats->compiles, 1);
  EXPECT_EQ(stats->failures, 1);
  EXPECT_EQ(stats->corrupt_removed, 0);
  EXPECT_DOUBLE_EQ(stats->compile_ms_spent, 101.5);
  EXPECT_DOUBLE_EQ(stats->compile_ms_saved, 203);
}

TEST_F(KernelStoreTest, FindingWritesNothing) {
  ASSERT_TRUE(put(*open(), 1));
  const auto store = open();
  const std::string before = read_file(store->path());
  EXPECT_TRUE(serves(*store, 1));
  EXPECT_TRUE(misses(*store, 2));
  EXPECT_EQ(read_file(store->path()), before);
  const auto log = std::filesystem::path(store->path()) += "-wal";
  EXPECT_EQ(std::filesystem::exists(log) ? std::filesystem::file_size(log) : 0, 0u);
}

TEST_F(KernelStoreTest, TheTimeOfUseIsWrittenOnceADay) {
  const auto store = open();
  ASSERT_TRUE(put(*store, 1));
  const std::int64_t made = now_;
  const auto last_used = [&] {
    EXPECT_TRUE(serves(*store, 1));
    store->flush();
    return store->list()->front().last_used;
  };
  now_ = made + 24 * 3600 - 1;
  EXPECT_EQ(last_used(), made);
  now_ = made + 24 * 3600;
  EXPECT_EQ(last_used(), now_);
  const std::int64_t second_day = now_;
  now_ += 3600;
  EXPECT_EQ(last_used(), second_day);
}

TEST_F(KernelStoreTest, NotesOutliveTheProcess) {
  ASSERT_TRUE(open()->put_note("toolkit /usr/local/cuda", "nvrtc 13"));
  const auto store = open();
  EXPECT_EQ(store->find_note("toolkit /usr/local/cuda"), "nvrtc 13");
  EXPECT_TRUE(store->put_note("toolkit /usr/local/cuda", std::string("a\0b", 3)));
  EXPECT_EQ(store->find_note("toolkit /usr/local/cuda"), std::string("a\0b", 3));
  EXPECT_FALSE(store->find_note("another"));
}

TEST_F(KernelStoreTest, NotesHaveLimits) {
  const auto store = open();
  EXPECT_TRUE(store->put_note(std::string(200, 'n'), std::string(64 << 10, 'v')));
  EXPECT_FALSE(store->put_note(std::string(201, 'n'), "v"));
  EXPECT_FALSE(store->put_note("n", std::string((64 << 10) + 1, 'v')));
  EXPECT_FALSE(store->put_note("", "v"));
  EXPECT_FALSE(store->put_note("store/current_compiler", "v"));
}

TEST_F(KernelStoreTest, ListsCompilersLatestUsedFirst) {
  const auto store = open();
  const auto put_of = [&](int n, const char* compiler) {
    ObjectCode object = sample_object(n);
    object.compiler = compiler;
    ASSERT_TRUE(store->put(sample_key(n), object, sample_record(n)));
    now_ += 100'000;
  };
  put_of(1, "old");
  put_of(2, "older");
  put_of(3, "newest");
  ASSERT_TRUE(store->find(sample_key(1)));
  store->flush();
  EXPECT_EQ(store->compilers(), (std::vector<std::string>{"old", "newest", "older"}));
  EXPECT_TRUE(put_failure(*store, 9));
  EXPECT_EQ(store->compilers().size(), 3u);  // a failure is no code
}

TEST_F(KernelStoreTest, EightThreadsShareOneStore) {
  const auto store = open();
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        const int n = (i * 7 + t) % 25;
        const auto found = store->find(sample_key(n));
        if (found && !equal(std::get<ObjectCode>(*found), sample_object(n))) ++wrong;
        if (!found && !put(*store, n)) ++wrong;
        if (i == 10) store->flush();
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  for (int n = 0; n < 25; ++n) EXPECT_TRUE(serves(*store, n)) << n;
}

TEST_F(KernelStoreTest, AWarningMayCallTheStore) {
  StoreOptions nested = options();
  KernelStore* self = nullptr;
  int calls = 0;
  nested.warn = [&](std::string_view) {
    ++calls;
    EXPECT_TRUE(self->stats());
  };
  const auto store = open_or_die(folder_ / "store", nested);
  self = store.get();
  ObjectCode empty = sample_object(1);
  empty.bytes.clear();
  EXPECT_FALSE(store->put(sample_key(1), empty, sample_record(1)));
  EXPECT_EQ(calls, 1);
}

TEST_F(KernelStoreTest, WithoutWalAllIsTheSame) {
  StoreOptions plain = options();
  plain.allow_wal = false;
  {
    const auto store = open_or_die(folder_ / "store", plain);
    EXPECT_EQ(store->journal_mode(), "delete");
    ASSERT_TRUE(put(*store, 1));
    EXPECT_TRUE(serves(*store, 1));
  }
  // A store that moves between file systems takes the journal that suits the one it is on.
  EXPECT_TRUE(serves(*open(), 1));
  const auto store = open_or_die(folder_ / "store", plain);
  EXPECT_EQ(store->journal_mode(), "delete");
  EXPECT_TRUE(serves(*store, 1));
}

}  // namespace
}  // namespace fms

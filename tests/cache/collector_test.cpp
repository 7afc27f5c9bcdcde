#include "cache/collector.h"

#include <gtest/gtest.h>

#include <thread>

#include "cache/lock_file.h"
#include "store_fixture.h"

namespace fms {
namespace {

constexpr std::int64_t kDay = 24 * 3600;
constexpr const char* kOldCompiler = "nvrtc 12.8.93 build 7";

class CollectorTest : public ::testing::Test {
 protected:
  StoreOptions options(std::int64_t max_bytes = 0) {
    return {.max_bytes = max_bytes, .warn = warnings_.listener(), .now = [this] { return now_; }};
  }
  std::unique_ptr<KernelStore> open(std::int64_t max_bytes = 0) {
    return open_or_die(folder_ / "store", options(max_bytes));
  }
  struct Sample {
    double compile_ms = 100;
    std::size_t bytes = 10'000;
    const char* compiler = kCompiler;
  };
  void put(KernelStore& store, int n, const Sample& sample) {
    ObjectCode object = sample_object(n, sample.bytes);
    object.compile_ms = sample.compile_ms;
    object.compiler = sample.compiler;
    ASSERT_TRUE(store.put(sample_key(n), object, sample_record(n)));
  }
  bool has(KernelStore& store, int n) { return store.find(sample_key(n)).has_value(); }

  TemporaryFolder folder_;
  Warnings warnings_;
  std::int64_t now_ = 1'700'000'000;
};

TEST_F(CollectorTest, BelowTheLimitNothingGoes) {
  const auto store = open(100'000);
  for (int n = 0; n < 9; ++n) put(*store, n, {});
  const auto report = store->gc();
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->ran);
  EXPECT_EQ(report->evicted, 0);
}

TEST_F(CollectorTest, GoesDownToNineTenths) {
  const auto store = open();
  for (int n = 0; n < 20; ++n) put(*store, n, {});
  const auto report = store->gc(100'000);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->evicted, 11);
  EXPECT_EQ(report->bytes_freed, 110'000);
  EXPECT_EQ(store->stats()->bytes, 90'000);
  EXPECT_EQ(store->stats()->evicted, 11);
}

TEST_F(CollectorTest, WithoutALimitNothingGoes) {
  const auto store = open(0);
  for (int n = 0; n < 20; ++n) put(*store, n, {});
  EXPECT_EQ(store->gc()->evicted, 0);
}

TEST_F(CollectorTest, ObsoleteCompilersGoFirst) {
  const auto store = open();
  for (int n = 0; n < 10; ++n)
    put(*store, n, {.compile_ms = n < 5 ? 1e6 : 1, .compiler = n < 5 ? kOldCompiler : kCompiler});
  store->set_current_compiler(kCompiler);
  EXPECT_EQ(store->gc(60'000)->evicted, 5);
  for (int n = 0; n < 10; ++n) EXPECT_EQ(has(*store, n), n >= 5) << n;
}

TEST_F(CollectorTest, TheCurrentCompilerIsRememberedForOtherProcesses) {
  {
    const auto store = open();
    for (int n = 0; n < 10; ++n)
      put(*store, n, {.compile_ms = n < 5 ? 1e6 : 1, .compiler = n < 5 ? kOldCompiler : kCompiler});
    store->set_current_compiler(kCompiler);
  }
  const auto store = open();
  EXPECT_EQ(store->gc(60'000)->evicted, 5);
  for (int n = 0; n < 10; ++n) EXPECT_EQ(has(*store, n), n >= 5) << n;
}

TEST_F(CollectorTest, ACompilerIsObsoleteOnlyToOneOfItsName) {
  {
    const auto store = open();
    for (int n = 0; n < 10; ++n) put(*store, n, {.compiler = n < 5 ? kHostCompiler : kOldCompiler});
    store->set_current_compiler(kCompiler);
  }
  const auto store = open();
  store->set_current_compiler(kHostCompiler);
  EXPECT_EQ(store->gc(60'000)->evicted, 5);
  for (int n = 0; n < 10; ++n) EXPECT_EQ(has(*store, n), n < 5) << n;
  store->set_current_compiler("llvm 19.1.7 build 2");
  for (int n = 10; n < 15; ++n) put(*store, n, {.compile_ms = 1});
  EXPECT_EQ(store->gc(60'000)->evicted, 5);
  for (int n = 0; n < 15; ++n) EXPECT_EQ(has(*store, n), n >= 10) << n;
}

TEST_F(CollectorTest, ThenWhatSavesTheLeastTimeForItsBytes) {
  const auto store = open();
  put(*store, 0, {.compile_ms = 1000, .bytes = 10'000});   // 0.1 ms a byte
  put(*store, 1, {.compile_ms = 100, .bytes = 10'000});    // 0.01
  put(*store, 2, {.compile_ms = 500, .bytes = 1'000});     // 0.5
  put(*store, 3, {.compile_ms = 2000, .bytes = 100'000});  // 0.02
  EXPECT_EQ(store->gc(111'500)->evicted, 2);               // 1, and then 3, for 100'350 may stay
  EXPECT_TRUE(has(*store, 0));
  EXPECT_FALSE(has(*store, 1));
  EXPECT_TRUE(has(*store, 2));
  EXPECT_FALSE(has(*store, 3));
}

TEST_F(CollectorTest, RecentUsesCountAndOldOnesDont) {
  const auto store = open();
  for (int n = 0; n < 3; ++n) put(*store, n, {});
  const auto use = [&](int n, int times) {
    for (int i = 0; i < times; ++i) ASSERT_TRUE(has(*store, n));
    store->flush();
  };
  now_ += 2 * kDay;
  use(0, 100);  // much, and long ago
  now_ += 40 * kDay;
  use(1, 3);
  use(2, 1);
  EXPECT_EQ(store->gc(23'000)->evicted, 1);
  EXPECT_EQ(store->gc(12'000)->evicted, 1);
  EXPECT_TRUE(has(*store, 1));
}

TEST_F(CollectorTest, AmongEqualsTheLongestUnusedGoes) {
  const auto store = open();
  for (int n = 0; n < 3; ++n) {
    put(*store, n, {});
    now_ += kDay;
  }
  EXPECT_EQ(store->gc(23'000)->evicted, 1);
  EXPECT_FALSE(has(*store, 0));
}

TEST_F(CollectorTest, ExpiredFailuresGo) {
  const auto store = open();
  ASSERT_TRUE(
      store->put_failure(sample_key(1), sample_failure(1), sample_record(1), sample_target()));
  EXPECT_TRUE(store->gc()->ran);
  EXPECT_EQ(store->stats()->failed_entries, 1);
  now_ += 8 * kDay;
  EXPECT_TRUE(store->gc()->ran);
  EXPECT_EQ(store->stats()->failed_entries, 0);
}

TEST_F(CollectorTest, PutHoldsTheByteLimit) {
  const auto store = open(200'000);
  for (int n = 0; n < 100; ++n) {
    put(*store, n, {});
    ASSERT_LE(store->stats()->bytes, 200'000) << n;
  }
  EXPECT_GT(store->stats()->bytes, 100'000);
  EXPECT_GT(store->stats()->evicted, 0);
  EXPECT_EQ(store->stats()->entries + store->stats()->evicted, 100);
}

TEST_F(CollectorTest, TheFileShrinks) {
  const std::filesystem::path file = folder_.path() / "store" / "kernels.db";
  {
    const auto store = open();
    for (int n = 0; n < 50; ++n) put(*store, n, {.bytes = 100'000});
  }
  const auto before = std::filesystem::file_size(file);
  {
    const auto store = open();
    EXPECT_GT(store->gc(1'000'000)->evicted, 30);
  }
  EXPECT_LT(std::filesystem::file_size(file), before / 3);
}

TEST_F(CollectorTest, OneCollectsAtATime) {
  const auto store = open();
  for (int n = 0; n < 20; ++n) put(*store, n, {});
  {
    const auto other = cache::LockFile::acquire(folder_.path() / "store" / "kernels.lock",
                                                cache::Guarded::kCollecting, {});
    ASSERT_TRUE(other);
    const auto report = store->gc(100'000);
    ASSERT_TRUE(report);
    EXPECT_FALSE(report->ran);
    EXPECT_EQ(store->stats()->entries, 20);
  }
  EXPECT_TRUE(store->gc(100'000)->ran);
}

TEST_F(CollectorTest, ACollectorThatCrashedBlocksNobody) {
  const auto store = open();
  for (int n = 0; n < 20; ++n) put(*store, n, {});
  EXPECT_EQ(in_child([&] {
              // Taken, and never given back.
              static auto held = cache::LockFile::acquire(folder_.path() / "store" / "kernels.lock",
                                                          cache::Guarded::kCollecting, {});
              return held.has_value();
            }),
            0);
  EXPECT_TRUE(store->gc(100'000)->ran);
}

TEST_F(CollectorTest, OthersPutAndFindMeanwhile) {
  const auto store = open();
  for (int n = 0; n < 300; ++n) put(*store, n, {.bytes = 2000});
  std::atomic<int> wrong = 0;
  std::thread collector([&] {
    for (std::int64_t limit = 500'000; limit > 100'000; limit -= 100'000)
      if (!store->gc(limit)) ++wrong;
  });
  for (int n = 300; n < 340; ++n) {
    put(*store, n, {.bytes = 2000});
    const auto found = store->find(sample_key(n % 300));
    if (found && std::get<ObjectCode>(*found).bytes != sample_object(n % 300, 2000).bytes) ++wrong;
  }
  collector.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(store->verify()->corrupt, 0);
}

}  // namespace
}  // namespace fms

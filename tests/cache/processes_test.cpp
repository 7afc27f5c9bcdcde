// Several processes on one store: at once, killed, forked.

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <map>
#include <random>
#include <thread>

#include "cache/kernel_store.h"
#include "store_fixture.h"
#include "tests/sanitizers.h"

// TSan can't follow threads that are started after a fork of a process that had threads.
#define FMS_SKIP_UNDER_TSAN() \
  if (kThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer doesn't follow forked processes"

namespace fms {
namespace {

// Sanitizers make processes so slow that hundreds of them take too long.
constexpr int kSlower = kThreadSanitizer ? 4 : kAddressSanitizer ? 2 : 1;

namespace fs = std::filesystem;

class ProcessesTest : public ::testing::Test {
 protected:
  ProcessesTest() : store_(folder_ / "store") {}

  bool put(KernelStore& store, int n) {
    return store.put(sample_key(n), sample_object(n), sample_record(n));
  }
  void expect_sound() { EXPECT_EQ(query(store_ / "kernels.db", "PRAGMA integrity_check"), "ok"); }

  TemporaryFolder folder_;
  const fs::path store_;
};

TEST_F(ProcessesTest, SixteenThatOpenANewStoreAtOnceShareIt) {
  for (int round = 0; round < 5; ++round) {
    fs::remove_all(store_);
    std::vector<int> children;
    for (int p = 0; p < 16; ++p)
      children.push_back(start_child([&, p] {
        const auto store = KernelStore::open(store_);
        if (!store) return false;
        return put(**store, p) && serves(**store, p);
      }));
    for (const int child : children) EXPECT_EQ(wait_for(child), 0);
    const auto store = open_or_die(store_);
    for (int p = 0; p < 16; ++p) EXPECT_TRUE(serves(*store, p)) << p;
    EXPECT_FALSE(fs::exists(store_ / "kernels.db.corrupt"));
    EXPECT_FALSE(fs::exists(store_ / "kernels.db.new"));
  }
}

TEST_F(ProcessesTest, SixteenThatMeetADamagedStoreAtOnceShareTheNewOne) {
  open_or_die(store_).reset();
  write_file(store_ / "kernels.db", std::string(20'000, '#'));
  std::vector<int> children;
  for (int p = 0; p < 16; ++p)
    children.push_back(start_child([&, p] {
      const auto store = KernelStore::open(store_);
      return store && put(**store, p) && serves(**store, p);
    }));
  for (const int child : children) EXPECT_EQ(wait_for(child), 0);
  const auto store = open_or_die(store_);
  for (int p = 0; p < 16; ++p) EXPECT_TRUE(serves(*store, p)) << p;
  EXPECT_TRUE(fs::exists(store_ / "kernels.db.corrupt"));
  EXPECT_FALSE(fs::exists(store_ / "kernels.db.corrupt.1"));  // one of them moved it, once
}

TEST_F(ProcessesTest, SixteenOfEightThreadsPutAndFind) {
  FMS_SKIP_UNDER_TSAN();
  constexpr int kKernels = 50, kProcesses = 16, kThreads = 8, kAsks = 12;
  std::vector<int> children;
  for (int p = 0; p < kProcesses; ++p)
    children.push_back(start_child([&, p] {
      const auto store = KernelStore::open(store_, {.busy_timeout = std::chrono::seconds(60)});
      if (!store) return false;
      std::atomic<int> wrong = 0;
      std::vector<std::thread> threads;
      for (int t = 0; t < kThreads; ++t)
        threads.emplace_back([&, t] {
          std::minstd_rand random(static_cast<unsigned>(p * kThreads + t) + 1);
          for (int i = 0; i < kAsks; ++i) {
            const int n = static_cast<int>(random() % kKernels);
            const auto found = (*store)->find(sample_key(n));
            if (found && !equal(std::get<ObjectCode>(*found), sample_object(n))) ++wrong;
            if (!found && !put(**store, n)) ++wrong;
          }
        });
      for (std::thread& thread : threads) thread.join();
      return wrong == 0;
    }));
  for (const int child : children) EXPECT_EQ(wait_for(child), 0);
  const auto store = open_or_die(store_);
  const auto stats = store->stats();
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->entries, kKernels);
  // Every ask was counted, by whichever process.
  EXPECT_EQ(stats->hits + stats->misses, kProcesses * kThreads * kAsks);
  EXPECT_EQ(stats->misses, stats->compiles);
  EXPECT_EQ(stats->corrupt_removed, 0);
  expect_sound();
}

TEST_F(ProcessesTest, CountsAddUpOverProcesses) {
  for (int p = 0; p < 4; ++p)
    EXPECT_EQ(in_child([&] {
                const auto store = open_or_die(store_);
                const bool first = p == 0;
                return misses(*store, 1) == first && (!first || put(*store, 1)) &&
                       serves(*store, 1) && misses(*store, 2);
              }),
              0);
  const auto stats = open_or_die(store_)->stats();
  EXPECT_EQ(stats->hits, 4 + 3 - 0);
  EXPECT_EQ(stats->misses, 1 + 4);
  EXPECT_EQ(stats->compiles, 1);
}

// A child that puts until it is killed, telling each key it has put through a pipe.
int start_writer(const fs::path& store_path, int pipe_end, int first, int round) {
  return start_child([=] {
    const auto store = KernelStore::open(store_path);
    if (!store) return false;
    for (int n = first;; ++n) {
      const auto size = static_cast<std::size_t>(500 + 1500 * ((n + round) % 7));
      if (!(*store)->put(sample_key(n), sample_object(n, size), sample_record(n))) return false;
      const int said[2] = {n, static_cast<int>(size)};
      if (::write(pipe_end, said, sizeof said) != sizeof said) return false;
    }
  });
}

TEST_F(ProcessesTest, AWriterKilledAtARandomMomentLosesNothing) {
  const int rounds = 200 / kSlower;
  std::minstd_rand random(5);
  std::map<int, std::size_t> put_before;
  int next = 0;
  for (int round = 0; round < rounds; ++round) {
    // Records are checked and the store is begun anew now and then, to keep a round short.
    if (round % 25 == 0) {
      fs::remove_all(store_);
      put_before.clear();
    }
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const int child = start_writer(store_, ends[1], next, round);
    ::close(ends[1]);
    ::usleep(1000 + random() % 25'000);
    ::kill(child, SIGKILL);
    EXPECT_EQ(wait_for(child), 1000 + SIGKILL);
    int said[2];
    while (::read(ends[0], said, sizeof said) == sizeof said) {
      put_before[said[0]] = static_cast<std::size_t>(said[1]);
      next = said[0] + 1;
    }
    ::close(ends[0]);
    const auto store = open_or_die(store_);
    for (const auto& [n, size] : put_before)
      ASSERT_TRUE(serves(*store, n, size)) << "round " << round << ", kernel " << n;
    EXPECT_EQ(store->stats()->corrupt_removed, 0);
    ++next;  // one that was being put when the end came may or may not be there
    if (round % 25 == 24) expect_sound();
  }
  expect_sound();
}

TEST_F(ProcessesTest, AfterAForkBothGoOn) {
  const auto store = open_or_die(store_);
  ASSERT_TRUE(put(*store, 1));
  EXPECT_TRUE(serves(*store, 1));
  EXPECT_EQ(in_child([&] { return serves(*store, 1) && put(*store, 2) && serves(*store, 2); }), 0);
  EXPECT_TRUE(serves(*store, 1));
  EXPECT_TRUE(serves(*store, 2));
  EXPECT_TRUE(put(*store, 3));
  EXPECT_TRUE(serves(*store, 3));
}

// SQLite counts its locks in memory that a child inherits, without the locks: a child that believed
// to hold them would write into a log that others delete.
TEST_F(ProcessesTest, AChildsLocksAreItsOwn) {
  auto store = open_or_die(store_);
  ASSERT_TRUE(put(*store, 1));
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const int child = start_child([&] {
    if (!serves(*store, 1)) return false;  // opens it in the child
    char go = 0;
    if (::read(ends[0], &go, 1) != 1) return false;
    const bool kept = put(*store, 2);
    store.reset();
    return kept;
  });
  ::usleep(100'000);
  store.reset();                // the parent leaves, and takes itself for the last
  open_or_die(store_).reset();  // so does another
  ASSERT_EQ(::write(ends[1], "g", 1), 1);
  EXPECT_EQ(wait_for(child), 0);
  const auto later = open_or_die(store_);
  EXPECT_TRUE(serves(*later, 1));
  EXPECT_TRUE(serves(*later, 2));
}

TEST_F(ProcessesTest, AForkCountsUsesOnce) {
  {
    const auto store = open_or_die(store_);
    ASSERT_TRUE(put(*store, 1));
    EXPECT_TRUE(serves(*store, 1));  // not written yet
    EXPECT_EQ(in_child([&] {
                store->flush();
                return serves(*store, 1);
              }),
              0);
  }
  // The child ended without a destructor: its own use is lost, the parent's is there once.
  EXPECT_EQ(open_or_die(store_)->stats()->hits, 1);
}

TEST_F(ProcessesTest, AForkWhileThreadsAreAtItLeavesTheChildFree) {
  FMS_SKIP_UNDER_TSAN();
  const auto store = open_or_die(store_);
  for (int n = 0; n < 8; ++n) ASSERT_TRUE(put(*store, n));
  std::atomic<bool> stop = false;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = t; !stop; ++i) {
        if (!serves(*store, i % 8)) ++wrong;
        if (i % 5 == 0 && !put(*store, i % 8)) ++wrong;
      }
    });
  for (int i = 0; i < 30; ++i)
    EXPECT_EQ(in_child([&] { return serves(*store, i % 8) && put(*store, 100 + i); }), 0);
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  for (int i = 0; i < 30; ++i) EXPECT_TRUE(serves(*store, 100 + i));
}

TEST_F(ProcessesTest, AChildBornPastForkOpensTheStoreAnew) {
  const auto store = open_or_die(store_);
  ASSERT_TRUE(put(*store, 1));
  const auto child = static_cast<int>(::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, 0));
  if (child == 0) ::_exit(serves(*store, 1) && misses(*store, 2) ? 0 : 1);
  ASSERT_GT(child, 0);
  EXPECT_EQ(wait_for(child), 0);
  EXPECT_TRUE(serves(*store, 1));
}

TEST_F(ProcessesTest, CollectorsAndWritersOfSeveralProcessesGetAlong) {
  std::vector<int> children;
  for (int p = 0; p < 6; ++p)
    children.push_back(start_child([&, p] {
      const auto store = KernelStore::open(
          store_, {.max_bytes = 60'000, .busy_timeout = std::chrono::seconds(60)});
      if (!store) return false;
      for (int n = 0; n < 25; ++n) {
        if (!put(**store, p * 100 + n)) return false;
        const auto found = (*store)->find(sample_key(p * 100 + n));
        if (found && !equal(std::get<ObjectCode>(*found), sample_object(p * 100 + n))) return false;
      }
      return true;
    }));
  for (const int child : children) EXPECT_EQ(wait_for(child), 0);
  const auto store = open_or_die(store_, {.max_bytes = 60'000});
  ASSERT_TRUE(put(*store, 999));
  EXPECT_LE(store->stats()->bytes, 60'000);
  expect_sound();
}

}  // namespace
}  // namespace fms

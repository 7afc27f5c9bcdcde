#include "runtime/build_lock.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <string>
#include <thread>

#include "tests/runtime/fake_compiler.h"

namespace fms {
namespace {

using std::chrono::milliseconds;
using testing::TemporaryFolder;

constexpr milliseconds kLong{60'000};

BuildLocks::Outcome acquire(BuildLocks& locks, const Digest& key, milliseconds patience = kLong,
                            const CancelToken& cancel = {}) {
  return locks.acquire(key, "a kernel", patience, cancel, {});
}

TEST(BuildLockTest, TwoHoldersOfOneKeyExcludeEachOther) {
  const TemporaryFolder folder;
  BuildLocks first(folder.path()), second(folder.path());
  const Digest key = sha256("key");
  const auto held = acquire(first, key);
  ASSERT_TRUE(held.acquired);
  EXPECT_FALSE(held.waited);
  const auto refused = acquire(second, key, milliseconds(30));
  EXPECT_FALSE(refused.acquired);
  EXPECT_TRUE(refused.waited);
}

TEST(BuildLockTest, DifferentKeysDontWaitForEachOther) {
  const TemporaryFolder folder;
  BuildLocks first(folder.path()), second(folder.path());
  const auto held = acquire(first, sha256("one"));
  const auto other = acquire(second, sha256("two"), milliseconds(0));
  EXPECT_TRUE(other.acquired);
  EXPECT_FALSE(other.waited);
}

TEST(BuildLockTest, AWaiterGetsTheLockWhenItIsReleased) {
  const TemporaryFolder folder;
  BuildLocks first(folder.path()), second(folder.path());
  const Digest key = sha256("key");
  auto held = acquire(first, key);
  std::thread release([&] {
    std::this_thread::sleep_for(milliseconds(50));
    held.held = {};
  });
  const auto next = acquire(second, key);
  release.join();
  EXPECT_TRUE(next.acquired);
  EXPECT_TRUE(next.waited);
}

TEST(BuildLockTest, ACrashedHolderHandsTheLockOn) {
  const TemporaryFolder folder;
  const Digest key = sha256("key");
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    BuildLocks locks(folder.path());
    const auto held = acquire(locks, key);
    [[maybe_unused]] const ssize_t told = write(ready[1], held.acquired ? "y" : "n", 1);
    pause();
    _exit(0);
  }
  char answer = 0;
  ASSERT_EQ(read(ready[0], &answer, 1), 1);
  ASSERT_EQ(answer, 'y');
  BuildLocks locks(folder.path());
  EXPECT_FALSE(acquire(locks, key, milliseconds(20)).acquired);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_TRUE(acquire(locks, key).acquired);
  close(ready[0]);
  close(ready[1]);
}

TEST(BuildLockTest, AForkedChildDoesNotShareItsParentsLocks) {
  const TemporaryFolder folder;
  const Digest key = sha256("key");
  BuildLocks locks(folder.path());
  const auto held = acquire(locks, key);
  ASSERT_TRUE(held.acquired);
  const pid_t child = fork();
  if (child == 0) _exit(acquire(locks, key, milliseconds(20)).acquired ? 1 : 0);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0) << "the child got a lock that its parent holds";
}

TEST(BuildLockTest, CancellingEndsTheWait) {
  const TemporaryFolder folder;
  BuildLocks first(folder.path()), second(folder.path());
  const auto held = acquire(first, sha256("key"));
  const CancelToken cancel;
  std::thread canceller([&] {
    std::this_thread::sleep_for(milliseconds(30));
    cancel.cancel();
  });
  EXPECT_FALSE(acquire(second, sha256("key"), kLong, cancel).acquired);
  canceller.join();
}

TEST(BuildLockTest, AWaiterIsToldWhoHoldsTheLock) {
  const TemporaryFolder folder;
  BuildLocks first(folder.path()), second(folder.path());
  const auto held = first.acquire(sha256("key"), "attention_forward", kLong, CancelToken(), {});
  std::string holder;
  second.acquire(sha256("key"), "other", milliseconds(1200), CancelToken(),
                 [&](std::string_view text, milliseconds) { holder = text; });
  EXPECT_EQ(holder, std::to_string(getpid()) + " attention_forward");
}

TEST(BuildLockTest, WithoutAFolderEveryoneMayWork) {
  BuildLocks first(""), second("/proc/no/such/folder");
  const auto one = acquire(first, sha256("key"));
  EXPECT_TRUE(one.acquired);
  EXPECT_TRUE(acquire(first, sha256("key"), milliseconds(0)).acquired);
  EXPECT_TRUE(acquire(second, sha256("key"), milliseconds(0)).acquired);
}

TEST(BuildLockTest, AFolderThatOthersMayWriteIsNotUsed) {
  const TemporaryFolder folder;
  chmod(folder.path().c_str(), 0777);
  BuildLocks locks(folder.path());
  EXPECT_TRUE(acquire(locks, sha256("key")).acquired);
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "build.lock"));
}

}  // namespace
}  // namespace fms

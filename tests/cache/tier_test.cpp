// Stores that are only read: on media that can't be written, beside others that write.

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>

#include "cache/kernel_store.h"
#include "store_fixture.h"

namespace fms {
namespace {

namespace fs = std::filesystem;

// Every file of a folder, with its bytes. Not the lock file and SQLite's shared memory.
std::map<std::string, std::string> contents(const fs::path& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::directory_iterator(directory))
    files[entry.path().filename().string()] = read_file(entry.path());
  return files;
}

class TierTest : public ::testing::Test {
 protected:
  TierTest() : store_(folder_ / "store"), file_(store_ / "kernels.db") {}

  StoreOptions options() { return {.warn = warnings_.listener()}; }

  TemporaryFolder folder_;
  Warnings warnings_;
  const fs::path store_, file_;
};

TEST_F(TierTest, AReadOnlyTierServesFromAFolderThatCantBeWritten) {
  make_sample_store(store_, 3);
  EXPECT_EQ(in_child_of_plain_user(
                folder_,
                [&] {
                  ::chmod(store_.c_str(), 0500);
                  ::chmod(file_.c_str(), 0400);
                  const auto before = contents(store_);
                  auto tier = KernelStore::open_read_only(store_, options());
                  if (!tier || !(*tier)->read_only()) return false;
                  KernelStore& store = **tier;
                  return serves(store, 0) && serves(store, 2) && misses(store, 9) &&
                         !store.put(sample_key(9), sample_object(9), sample_record(9)) &&
                         !store.put_note("n", "v") && store.verify()->corrupt == 0 &&
                         store.list()->size() == 3 && !store.gc()->ran && !store.clear() &&
                         contents(store_) == before && warnings_.all().empty();
                }),
            0);
}

TEST_F(TierTest, AReadOnlyTierSeesALogThatWasNeverFolded) {
  EXPECT_EQ(in_child([&] {
              auto* const store = open_or_die(store_).release();
              return store->put(sample_key(1), sample_object(1), sample_record(1));
              // Ends without closing: the record is in the log only.
            }),
            0);
  ASSERT_GT(fs::file_size(store_ / "kernels.db-wal"), 0u);
  const auto tier = KernelStore::open_read_only(store_, options());
  ASSERT_TRUE(tier) << tier.error().message;
  EXPECT_TRUE(serves(**tier, 1));
  EXPECT_EQ((*tier)->journal_mode(), "wal");
}

TEST_F(TierTest, ALogThatCantBeReadIsToldOfAndPassedOver) {
  make_sample_store(store_, 2);
  EXPECT_EQ(in_child([&] {
              auto* const store = open_or_die(store_).release();
              return store->put(sample_key(7), sample_object(7), sample_record(7));
            }),
            0);
  fs::remove(store_ / "kernels.db-shm");
  EXPECT_EQ(
      in_child_of_plain_user(folder_,
                             [&] {
                               ::chmod(store_.c_str(), 0500);
                               const auto tier = KernelStore::open_read_only(store_, options());
                               if (!tier || !serves(**tier, 1)) return false;
                               // Whether SQLite can read the log without shared memory is its
                               // affair; if it can't, that is told.
                               return serves(**tier, 7) || warnings_.mention("still in its log");
                             }),
      0);
}

TEST_F(TierTest, AReadOnlyTierSeesWhatOthersWrite) {
  make_sample_store(store_, 1);
  const auto tier = KernelStore::open_read_only(store_);
  ASSERT_TRUE(tier);
  EXPECT_TRUE(misses(**tier, 5));
  make_sample_store(store_, 6);
  EXPECT_TRUE(serves(**tier, 5));
}

TEST_F(TierTest, AReadOnlyTierThatOthersMayWriteIsRefused) {
  make_sample_store(store_, 1);
  for (const mode_t mode : {0620, 0602}) {
    ASSERT_EQ(::chmod(file_.c_str(), mode), 0);
    const auto tier = KernelStore::open_read_only(store_);
    ASSERT_FALSE(tier);
    EXPECT_NE(tier.error().message.find("chmod go-w"), std::string::npos);
  }
  ASSERT_EQ(::chmod(file_.c_str(), 0644), 0);
  ASSERT_EQ(::chmod(store_.c_str(), 0777), 0);
  EXPECT_FALSE(KernelStore::open_read_only(store_));
}

// A store with code for a GPU under key 0 and for a CPU under key 1.
void make_mixed_store(const fs::path& directory) {
  make_sample_store(directory, 1);
  ASSERT_TRUE(open_or_die(directory)->put(sample_key(1), sample_host_object(1), sample_record(1)));
}

TEST_F(TierTest, CodeForACpuIsTakenFromFilesOfThisUsersOrRoots) {
  make_mixed_store(store_);
  const auto tier = KernelStore::open_read_only(store_, options());
  ASSERT_TRUE(tier) << tier.error().message;
  const auto found = (*tier)->find(sample_key(1));
  ASSERT_TRUE(found);
  EXPECT_TRUE(equal(std::get<ObjectCode>(*found), sample_host_object(1)));
  EXPECT_EQ((*tier)->presence(sample_key(1)), Presence::kCode);
  EXPECT_TRUE(warnings_.all().empty());
}

TEST_F(TierTest, CodeForACpuThatOthersMayHavePutThereIsAMissAndSaysWhy) {
  const fs::path open_to_all = folder_ / "open", store = open_to_all / "store";
  make_mixed_store(store);
  ASSERT_EQ(::chmod(open_to_all.c_str(), 0777), 0);
  const auto tier = KernelStore::open_read_only(store, options());
  ASSERT_TRUE(tier) << tier.error().message;
  EXPECT_TRUE(serves(**tier, 0)) << "code for a GPU can do nothing to the user's files";
  for (int time = 0; time < 2; ++time) EXPECT_TRUE(misses(**tier, 1));
  EXPECT_EQ((*tier)->presence(sample_key(1)), Presence::kNothing);
  EXPECT_EQ(warnings_.all().size(), 1u);
  EXPECT_TRUE(warnings_.mention(open_to_all.string() + " may be written by others"));
}

TEST_F(TierTest, CodeForACpuFromAnotherUsersFileIsAMissAndSaysWhy) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  make_mixed_store(store_);
  ASSERT_EQ(::chown(file_.c_str(), 65534, 65534), 0);
  const auto tier = KernelStore::open_read_only(store_, options());
  ASSERT_TRUE(tier) << tier.error().message;
  EXPECT_TRUE(serves(**tier, 0));
  EXPECT_TRUE(misses(**tier, 1));
  EXPECT_TRUE(warnings_.mention("belongs to user 65534"));
}

TEST_F(TierTest, AReadOnlyTierThatIsntThereIsNotFound) {
  EXPECT_EQ(KernelStore::open_read_only(store_).error().code, ErrorCode::kNotFound);
  fs::create_directory(store_);
  EXPECT_EQ(KernelStore::open_read_only(store_).error().code, ErrorCode::kNotFound);
  write_file(file_, "not a database, but long enough to be looked at as one..........");
  EXPECT_EQ(KernelStore::open_read_only(store_).error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace fms

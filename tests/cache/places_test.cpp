// Where a store may be, and what becomes of it when that place changes.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "cache/kernel_store.h"
#include "cache/sqlite.h"
#include "store_fixture.h"

namespace fms {
namespace {

namespace fs = std::filesystem;

constexpr uid_t kNobody = 65534;

mode_t mode_of(const fs::path& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
}

class PlacesTest : public ::testing::Test {
 protected:
  PlacesTest() : store_(folder_ / "store"), file_(store_ / "kernels.db") {}

  StoreOptions options() { return {.warn = warnings_.listener()}; }

  int as_plain_user(const std::function<bool()>& body) {
    return in_child_of_plain_user(folder_, body);
  }

  TemporaryFolder folder_;
  Warnings warnings_;
  const fs::path store_, file_;
};

TEST_F(PlacesTest, FolderAndFileAreTheUsersAlone) {
  const mode_t old = ::umask(0);
  const fs::path deep = folder_ / "a" / "b";
  open_or_die(deep);
  ::umask(old);
  EXPECT_EQ(mode_of(folder_ / "a"), 0700u);
  EXPECT_EQ(mode_of(deep), 0700u);
  EXPECT_EQ(mode_of(deep / "kernels.db"), 0600u);
  EXPECT_EQ(mode_of(deep / "kernels.lock"), 0600u);
}

TEST_F(PlacesTest, ASymbolicLinkIsRefused) {
  fs::create_directory(folder_ / "real");
  fs::permissions(folder_ / "real", fs::perms::owner_all);
  fs::create_directory_symlink(folder_ / "real", store_);
  for (const fs::path& path : {store_, store_ / ""}) {
    const auto store = KernelStore::open(path);
    ASSERT_FALSE(store);
    EXPECT_EQ(store.error().code, ErrorCode::kIo);
    EXPECT_NE(store.error().message.find("symbolic link"), std::string::npos);
  }
  EXPECT_TRUE(fs::is_empty(folder_ / "real"));
}

TEST_F(PlacesTest, ALinkAboveTheFolderIsFine) {
  fs::create_directory(folder_ / "real");
  fs::create_directory_symlink(folder_ / "real", folder_ / "link");
  make_sample_store(folder_ / "link" / "store", 1);
  EXPECT_TRUE(serves(*open_or_die(folder_ / "real" / "store"), 0));
}

TEST_F(PlacesTest, AFileThatIsASymbolicLinkIsRefused) {
  make_sample_store(folder_ / "other", 1);
  open_or_die(store_).reset();
  fs::remove(file_);
  fs::create_symlink(folder_ / "other" / "kernels.db", file_);
  EXPECT_FALSE(KernelStore::open(store_));
}

TEST_F(PlacesTest, AFolderThatOthersMayWriteIsRefused) {
  fs::create_directory(store_);
  for (const mode_t mode : {0777, 0770, 0702}) {
    ASSERT_EQ(::chmod(store_.c_str(), mode), 0);
    const auto store = KernelStore::open(store_);
    ASSERT_FALSE(store);
    EXPECT_NE(store.error().message.find("chmod 700"), std::string::npos);
    EXPECT_TRUE(fs::is_empty(store_));
  }
  ASSERT_EQ(::chmod(store_.c_str(), 0755), 0);
  EXPECT_TRUE(KernelStore::open(store_));
}

TEST_F(PlacesTest, AnotherUsersFolderIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a folder away";
  fs::create_directory(store_);
  ASSERT_EQ(::chmod(store_.c_str(), 0700), 0);
  ASSERT_EQ(::chown(store_.c_str(), kNobody, kNobody), 0);
  const auto store = KernelStore::open(store_);
  ASSERT_FALSE(store);
  EXPECT_NE(store.error().message.find("belongs to user 65534"), std::string::npos);
}

TEST_F(PlacesTest, AFileInPlaceOfTheFolderIsRefused) {
  write_file(store_, "x");
  EXPECT_FALSE(KernelStore::open(store_));
  EXPECT_FALSE(KernelStore::open(store_ / "below"));
  EXPECT_FALSE(KernelStore::open(""));
}

TEST_F(PlacesTest, AFolderThatCantBeWrittenFailsAndSaysSo) {
  make_sample_store(store_, 1);
  EXPECT_EQ(as_plain_user([&] {
              ::chmod(store_.c_str(), 0500);
              const auto store = KernelStore::open(store_);
              return !store && store.error().code == ErrorCode::kIo &&
                     store.error().message.find("can't be written") != std::string::npos &&
                     store.error().message.find(store_.string()) != std::string::npos;
            }),
            0);
}

TEST_F(PlacesTest, AFolderThatCantBeMadeFailsAndSaysSo) {
  EXPECT_EQ(as_plain_user([&] {
              ::chmod(folder_.path().c_str(), 0500);
              const auto store = KernelStore::open(store_);
              return !store && store.error().code == ErrorCode::kIo;
            }),
            0);
}

TEST_F(PlacesTest, ANewerSchemaIsLeftUntouched) {
  make_sample_store(store_, 2);
  tamper(file_, "PRAGMA user_version=3");
  const std::string before = read_file(file_);
  const auto store = KernelStore::open(store_, options());
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(KernelStore::open_read_only(store_).error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(read_file(file_), before);
}

TEST_F(PlacesTest, ANewerSchemasLogIsLeftUntouchedToo) {
  make_sample_store(store_, 1);
  EXPECT_EQ(in_child([&] {
              auto newer = cache::Database::open(file_, cache::Access::kReadWrite, {});
              const bool done = newer && newer->execute("PRAGMA user_version=3");
              newer->abandon();
              return done;
              // Ends without closing, as a newer program that crashed would.
            }),
            0);
  const std::string file = read_file(file_), log = read_file(store_ / "kernels.db-wal");
  ASSERT_FALSE(log.empty());
  EXPECT_EQ(KernelStore::open(store_, options()).error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(read_file(file_), file);
  EXPECT_EQ(read_file(store_ / "kernels.db-wal"), log);
}

TEST_F(PlacesTest, AnotherProgramsDatabaseIsLeftUntouched) {
  make_sample_store(store_, 1);
  tamper(file_, "PRAGMA application_id=42");
  const std::string before = read_file(file_);
  const auto store = KernelStore::open(store_, options());
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(read_file(file_), before);
}

TEST_F(PlacesTest, WhatIsNoDatabaseIsMovedAside) {
  open_or_die(store_).reset();
  const std::string garbage(5000, '#');
  for (const char* aside : {"kernels.db.corrupt", "kernels.db.corrupt.1", "kernels.db.corrupt.2",
                            "kernels.db.corrupt.2"}) {
    write_file(file_, garbage);
    const auto store = open_or_die(store_, options());
    EXPECT_TRUE(store->put(sample_key(1), sample_object(1), sample_record(1)));
    EXPECT_TRUE(serves(*store, 1));
    EXPECT_EQ(read_file(store_ / aside), garbage);
    EXPECT_TRUE(warnings_.mention(aside));
  }
}

TEST_F(PlacesTest, AnEmptyFileBecomesAStore) {
  open_or_die(store_).reset();
  write_file(file_, "");
  EXPECT_TRUE(open_or_die(store_)->put(sample_key(1), sample_object(1), sample_record(1)));
}

TEST_F(PlacesTest, ATableThatIsMissingIsDamage) {
  make_sample_store(store_, 2);
  tamper(file_, "DROP TABLE content");
  const auto store = open_or_die(store_, options());
  EXPECT_TRUE(misses(*store, 1));
  EXPECT_TRUE(fs::exists(store_ / "kernels.db.corrupt"));
}

TEST_F(PlacesTest, TheLogOfADeletedStoreIsntReplayed) {
  EXPECT_EQ(in_child([&] {
              auto* const store = open_or_die(store_).release();
              return store->put(sample_key(1), sample_object(1), sample_record(1));
            }),
            0);
  fs::remove(file_);
  ASSERT_TRUE(fs::exists(store_ / "kernels.db-wal"));
  const auto store = open_or_die(store_);
  EXPECT_EQ(store->stats()->entries, 0);
  EXPECT_TRUE(store->put(sample_key(2), sample_object(2), sample_record(2)));
  EXPECT_TRUE(serves(*store, 2));
}

TEST_F(PlacesTest, DeletedWhileOpenItIsMadeAnew) {
  const auto store = open_or_die(store_, options());
  ASSERT_TRUE(store->put(sample_key(1), sample_object(1), sample_record(1)));
  fs::remove_all(store_);
  EXPECT_TRUE(misses(*store, 2));  // a miss notices
  EXPECT_TRUE(misses(*store, 1));
  ASSERT_TRUE(store->put(sample_key(3), sample_object(3), sample_record(3)));
  EXPECT_TRUE(serves(*open_or_die(store_), 3));
  fs::remove_all(store_);
  ASSERT_TRUE(store->put(sample_key(4), sample_object(4), sample_record(4)));  // so does a put
  EXPECT_TRUE(serves(*open_or_die(store_), 4));
}

TEST_F(PlacesTest, ReplacedWhileOpenItIsOpenedAnew) {
  make_sample_store(folder_ / "other", 6);
  make_sample_store(store_, 1);
  auto store = open_or_die(store_, options());
  EXPECT_TRUE(serves(*store, 0));
  fs::remove_all(store_);
  fs::rename(folder_ / "other", store_);
  EXPECT_TRUE(serves(*store, 5));
  store.reset();
  EXPECT_TRUE(serves(*open_or_die(store_), 5));
}

TEST_F(PlacesTest, DeletedForGoodItIsAMissAndAWarning) {
  const auto store = open_or_die(store_, options());
  ASSERT_TRUE(store->put(sample_key(1), sample_object(1), sample_record(1)));
  fs::remove_all(store_);
  write_file(store_, "in the way");
  EXPECT_TRUE(misses(*store, 2));
  EXPECT_TRUE(misses(*store, 1));
  EXPECT_FALSE(store->put(sample_key(1), sample_object(1), sample_record(1)));
  EXPECT_FALSE(store->list());
  EXPECT_EQ(warnings_.all().size(), 1u);  // told once
  store->flush();
}

TEST_F(PlacesTest, AFolderThatBecomesReadOnlyStillServes) {
  StoreOptions plain = options();
  plain.allow_wal = false;
  make_sample_store(store_, 2, kSampleBytes, plain);
  EXPECT_EQ(as_plain_user([&] {
              const auto store = open_or_die(store_, plain);
              ::chmod(store_.c_str(), 0500);
              return serves(*store, 0) &&
                     !store->put(sample_key(9), sample_object(9), sample_record(9)) &&
                     !warnings_.all().empty() && serves(*store, 1);
            }),
            0);
}

TEST_F(PlacesTest, WithoutRoomPutSaysSoAndTheRestIsServed) {
  make_sample_store(store_, 2);
  EXPECT_EQ(in_child([&] {
              std::signal(SIGXFSZ, SIG_IGN);
              const auto store = open_or_die(store_, options());
              const rlimit limit{.rlim_cur = 256 << 10, .rlim_max = RLIM_INFINITY};
              if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
              const bool refused =
                  !store->put(sample_key(5), sample_object(5, 1 << 20), sample_record(5));
              const bool told = warnings_.mention("FMS_CACHE_DIR");
              const bool rest = misses(*store, 5) && (serves(*store, 0) || serves(*store, 1));
              const rlimit no_limit{.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};
              ::setrlimit(RLIMIT_FSIZE, &no_limit);
              return refused && told && rest &&
                     store->put(sample_key(5), sample_object(5, 1 << 20), sample_record(5)) &&
                     serves(*store, 5, 1 << 20);
            }),
            0);
}

TEST_F(PlacesTest, OnAFullDiskOldRecordsMakeRoomOrPutFails) {
  fs::create_directory(folder_ / "disk");
  constexpr int kNotPermitted = 77;
  const int status = in_child([&] {
    const std::string disk = (folder_ / "disk").string();
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=4m,mode=0700") != 0)
      ::_exit(kNotPermitted);
    const auto store = open_or_die(fs::path(disk) / "store", options());
    int kept = 0;
    for (int n = 0; n < 100; ++n)
      if (store->put(sample_key(n), sample_object(n, 100'000), sample_record(n))) ++kept;
    int served = 0, wrong = 0;
    for (int n = 0; n < 100; ++n) {
      const auto found = store->find(sample_key(n));
      if (found && equal(std::get<ObjectCode>(*found), sample_object(n, 100'000)))
        ++served;
      else if (found)
        ++wrong;
    }
    return wrong == 0 && served > 0 && kept >= served && kept > 20;
  });
  if (status == kNotPermitted) GTEST_SKIP() << "mounting isn't permitted here";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace fms

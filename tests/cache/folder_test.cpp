#include "cache/folder.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "cache/fork_gate.h"
#include "cache/lock_file.h"
#include "store_fixture.h"

namespace fms::cache {
namespace {

using namespace std::chrono_literals;

TEST(FolderTest, NetworkFileSystemsAreKnownByTheirNumbers) {
  EXPECT_TRUE(is_network_file_system(0x6969));              // NFS
  EXPECT_TRUE(is_network_file_system(0xFF534D42));          // CIFS
  EXPECT_TRUE(is_network_file_system(0xFFFFFFFFFF534D42));  // the same, sign-extended
  EXPECT_TRUE(is_network_file_system(0x0BD00BD0));          // Lustre
  EXPECT_TRUE(is_network_file_system(0x47504653));          // GPFS
  EXPECT_TRUE(is_network_file_system(0x00C36400));          // CephFS
  EXPECT_TRUE(is_network_file_system(0x65735546));          // FUSE
  EXPECT_TRUE(is_network_file_system(0x01021997));          // 9p
}

TEST(FolderTest, LocalFileSystemsArent) {
  EXPECT_FALSE(is_network_file_system(0xEF53));      // ext4
  EXPECT_FALSE(is_network_file_system(0x58465342));  // XFS
  EXPECT_FALSE(is_network_file_system(0x9123683E));  // Btrfs
  EXPECT_FALSE(is_network_file_system(0x01021994));  // tmpfs
  EXPECT_FALSE(is_network_file_system(0x794C7630));  // overlayfs
  EXPECT_FALSE(is_network_file_system(0x2FC12FC1));  // ZFS
}

TEST(FolderTest, AFolderThatIsntThereIsTakenForANetwork) {
  EXPECT_TRUE(on_network_file_system("/nonexistent/folder"));
}

TEST(FolderTest, AFileIsTrustedIfNobodyElseCanHaveMadeIt) {
  const TemporaryFolder folder;
  const std::filesystem::path above = folder / "above", place = above / "place";
  const std::filesystem::path file = place / "file";
  std::filesystem::create_directories(place);
  write_file(file, "x");
  struct Modes {
    mode_t file, place, above;
    bool trusted;
  };
  for (const Modes& modes : {
           Modes{.file = 0644, .place = 0755, .above = 0755, .trusted = true},
           Modes{.file = 0600, .place = 0700, .above = 0775, .trusted = true},
           Modes{.file = 0600, .place = 0700, .above = 01777, .trusted = true},  // as /tmp
           Modes{.file = 0600, .place = 0700, .above = 0777, .trusted = false},
           Modes{.file = 0664, .place = 0755, .above = 0755, .trusted = false},
           Modes{.file = 0602, .place = 0755, .above = 0755, .trusted = false},
           Modes{.file = 0644, .place = 0775, .above = 0755, .trusted = false},
           Modes{.file = 0644, .place = 01777, .above = 0755, .trusted = false},
       }) {
    ASSERT_EQ(::chmod(file.c_str(), modes.file), 0);
    ASSERT_EQ(::chmod(place.c_str(), modes.place), 0);
    ASSERT_EQ(::chmod(above.c_str(), modes.above), 0);
    EXPECT_EQ(check_trusted_file(file).has_value(), modes.trusted)
        << std::oct << modes.file << ' ' << modes.place << ' ' << modes.above;
  }
  EXPECT_FALSE(check_trusted_file(place)) << "no file";
  EXPECT_FALSE(check_trusted_file(place / "none"));
}

TEST(LockFileTest, OneHolderOverThreadsAndProcesses) {
  const TemporaryFolder folder;
  auto held = std::make_unique<Result<LockFile>>(
      LockFile::acquire(folder / "lock", Guarded::kCollecting, 0ms));
  ASSERT_TRUE(*held) << held->error().message;
  const auto second = LockFile::acquire(folder / "lock", Guarded::kCollecting, 5ms);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kTimeout);
  EXPECT_TRUE(LockFile::acquire(folder / "lock", Guarded::kReplacing, 0ms));
  held.reset();
  EXPECT_TRUE(LockFile::acquire(folder / "lock", Guarded::kCollecting, 0ms));
}

TEST(LockFileTest, ACrashReleasesIt) {
  const TemporaryFolder folder;
  const int status = in_child([&] {
    const auto held = LockFile::acquire(folder / "lock", Guarded::kCollecting, 0ms);
    return held.has_value();  // ends without a destructor being called
  });
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(LockFile::acquire(folder / "lock", Guarded::kCollecting, 0ms));
}

TEST(LockFileTest, AFolderThatCantBeWrittenIsAnIoError) {
  const auto lock = LockFile::acquire("/nonexistent/lock", Guarded::kReplacing, 0ms);
  ASSERT_FALSE(lock);
  EXPECT_EQ(lock.error().code, ErrorCode::kIo);
}

TEST(ForkGateTest, ForkClosesMembersFirst) {
  struct Counting final : ForkGate::Member {
    void close_for_fork() override { ++closed; }
    int closed = 0;
  } member;
  ForkGate::add(member);
  EXPECT_EQ(in_child([&] { return member.closed == 1; }), 0);
  EXPECT_EQ(member.closed, 1);
  ForkGate::remove(member);
  EXPECT_EQ(in_child([&] { return member.closed == 1; }), 0);
}

}  // namespace
}  // namespace fms::cache

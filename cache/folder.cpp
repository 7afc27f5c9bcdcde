#include "cache/folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace fms::cache {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kElsewhere = "choose another folder with FMS_CACHE_DIR";

std::unexpected<Error> refused(const fs::path& path, std::string_view why,
                               std::string_view advice) {
  return fail(ErrorCode::kIo,
              fmt::format("can't keep kernels in {}: {}; {}", path.string(), why, advice));
}

// Each folder that is missing, 0700 whatever the umask is.
Result<void> make_folders(const fs::path& directory) {
  fs::path so_far;
  for (const fs::path& part : directory) {
    so_far /= part;
    if (part.empty() || ::mkdir(so_far.c_str(), 0700) == 0) continue;
    // EROFS and EACCES come before EEXIST on some systems; what is missing shows up below.
    if (errno == EEXIST || errno == EROFS || errno == EACCES || errno == EPERM) continue;
    return refused(directory, fmt::format("making {}: {}", so_far.string(), std::strerror(errno)),
                   kElsewhere);
  }
  return {};
}

Result<fs::path> without_links(const fs::path& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                         &std::free);
  if (!real) return refused(path, std::strerror(errno), kElsewhere);
  return fs::path(real.get());
}

}  // namespace

Result<FileIdentity> identity_of(const fs::path& file) {
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0) {
    const bool missing = errno == ENOENT || errno == ENOTDIR;
    return fail(missing ? ErrorCode::kNotFound : ErrorCode::kIo,
                fmt::format("can't read {}: {}", file.string(), std::strerror(errno)));
  }
  return FileIdentity{.device = info.st_dev,
                      .inode = info.st_ino,
                      .size = info.st_size,
                      .modified_ns = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec};
}

Result<fs::path> prepare_folder(const fs::path& directory) {
  // "store/" would have lstat() follow the link that "store" may be.
  const fs::path path = directory.has_filename() ? directory : directory.parent_path();
  if (path.empty()) return refused(directory, "the name is empty", "name a folder");
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) {
    FMS_TRY_VOID(make_folders(path));
    if (::lstat(path.c_str(), &info) != 0) return refused(path, std::strerror(errno), kElsewhere);
  }
  if (S_ISLNK(info.st_mode))
    return refused(path, "it is a symbolic link, which others may point elsewhere",
                   "name the folder itself");
  if (!S_ISDIR(info.st_mode)) return refused(path, "it isn't a folder", kElsewhere);
  if (info.st_uid != ::geteuid())
    return refused(path, fmt::format("it belongs to user {}", info.st_uid), kElsewhere);
  if ((info.st_mode & 022) != 0)
    return refused(path, fmt::format("others may write to it (mode {:04o})", info.st_mode & 07777),
                   fmt::format("run chmod 700 {}", path.string()));
  if (!folder_is_writable(path))
    return refused(path, fmt::format("it can't be written: {}", std::strerror(errno)), kElsewhere);
  return without_links(path);
}

Result<void> check_own_file(const fs::path& file) {
  struct stat info {};
  if (::lstat(file.c_str(), &info) != 0) return refused(file, std::strerror(errno), kElsewhere);
  if (!S_ISREG(info.st_mode)) return refused(file, "it isn't a plain file", "remove it");
  if (info.st_uid != ::geteuid())
    return refused(file, fmt::format("it belongs to user {}", info.st_uid), "remove it");
  return {};
}

Result<void> check_shared_file(const fs::path& file) {
  const auto cant = [&](ErrorCode code, std::string_view why) {
    return fail(code, fmt::format("can't read kernels from {}: {}", file.string(), why));
  };
  struct stat info {};
  if (::stat(file.c_str(), &info) != 0)
    return cant(errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo, std::strerror(errno));
  if (!S_ISREG(info.st_mode)) return cant(ErrorCode::kInvalidArgument, "it isn't a plain file");
  if ((info.st_mode & 022) != 0)
    return cant(ErrorCode::kIo, fmt::format("others than its owner may write it (mode {:04o}); "
                                            "run chmod go-w on it",
                                            info.st_mode & 07777));
  if (::stat(file.parent_path().c_str(), &info) != 0)
    return cant(ErrorCode::kIo, std::strerror(errno));
  if ((info.st_mode & S_IWOTH) != 0 && (info.st_mode & S_ISVTX) == 0)
    return cant(ErrorCode::kIo, "anyone may replace it; run chmod o-w on its folder");
  return {};
}

Result<void> check_trusted_file(const fs::path& file) {
  const auto distrusted = [](const fs::path& path, std::string_view why) {
    return fail(ErrorCode::kIo, fmt::format("{} {}", path.string(), why));
  };
  struct stat info {};
  for (fs::path path = file;; path = path.parent_path()) {
    if (::lstat(path.c_str(), &info) != 0) return distrusted(path, std::strerror(errno));
    if (info.st_uid != 0 && info.st_uid != ::geteuid())
      return distrusted(path, fmt::format("belongs to user {}", info.st_uid));
    if (path == file && !S_ISREG(info.st_mode)) return distrusted(path, "isn't a plain file");
    // Who may make files beside the database may give it a journal that SQLite would read. Further
    // up a sticky folder will do: others can't move what isn't theirs. And a folder that a group
    // may write is shared by its owner's own choice.
    const bool near = path == file || path == file.parent_path();
    const bool sticky = !near && (info.st_mode & S_ISVTX) != 0;
    if ((info.st_mode & (near ? S_IWGRP | S_IWOTH : S_IWOTH)) != 0 && !sticky)
      return distrusted(
          path, fmt::format("may be written by others (mode {:04o})", info.st_mode & 07777));
    if (path == path.root_path()) return {};
  }
}

bool is_network_file_system(std::uint64_t type) {
  // statfs(2), linux/magic.h, and the vendors' own. FUSE and 9p may be local, and mostly aren't.
  static constexpr std::array<std::uint32_t, 24> kTypes = {
      0x00006969,  // NFS
      0x0000517B,  // SMB
      0xFF534D42,  // CIFS
      0xFE534D42,  // SMB2
      0x0BD00BD0,  // Lustre
      0x47504653,  // GPFS
      0x19830326,  // BeeGFS
      0x00C36400,  // CephFS
      0x65735546,  // FUSE, virtiofs
      0x01021997,  // 9p
      0x5346414F,  // OpenAFS
      0x6B414653,  // kAFS
      0x5346414E,  // AFS
      0x73757245,  // Coda
      0x0000564C,  // NCP
      0x7461636F,  // OCFS2
      0x01161970,  // GFS2
      0xAAD7AAEA,  // PanFS
      0x20030528,  // OrangeFS
      0x786F4256,  // VirtualBox shared folder
      0x7C7C6673,  // Parallels shared folder
      0xBACBACBC,  // VMware shared folder
      0x013111A8,  // IBRIX
      0x6E667364,  // NFS daemon's own
  };
  // f_type is signed and may come sign-extended.
  return std::ranges::find(kTypes, static_cast<std::uint32_t>(type)) != kTypes.end();
}

bool on_network_file_system(const fs::path& path) {
  struct statfs info {};
  if (::statfs(path.c_str(), &info) != 0) return true;
  return is_network_file_system(static_cast<std::uint64_t>(info.f_type));
}

bool folder_is_writable(const fs::path& directory) {
  return ::faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) == 0;
}

Result<void> sync_file(const fs::path& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  const int synced = fd < 0 ? -1 : ::fsync(fd);
  const int error = errno;
  if (fd >= 0) ::close(fd);
  // Some file systems can't sync a folder and say EINVAL; there is nothing to wait for then.
  if (synced != 0 && error != EINVAL)
    return fail(ErrorCode::kIo,
                fmt::format("can't write {} to the disk: {}", file.string(), std::strerror(error)));
  return {};
}

}  // namespace fms::cache

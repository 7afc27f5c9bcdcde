#include "cache/lock_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

namespace fms::cache {

Result<LockFile> LockFile::acquire(const std::filesystem::path& file, Guarded what,
                                   std::chrono::milliseconds patience) {
  const auto cant = [&](ErrorCode code, std::string_view why) {
    return fail(code, fmt::format("can't lock {}: {}", file.string(), why));
  };
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return cant(ErrorCode::kIo, std::strerror(errno));
  LockFile lock(fd);
  // The lock belongs to this open file, not to the process as plain fcntl() locks do: it keeps
  // threads apart too, and closing another descriptor of the file doesn't drop it.
  struct flock range {};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  range.l_start = static_cast<off_t>(what);
  range.l_len = 1;
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (::fcntl(fd, F_OFD_SETLK, &range) != 0) {
    if (errno != EAGAIN && errno != EACCES && errno != EINTR)
      return cant(ErrorCode::kIo, std::strerror(errno));
    if (std::chrono::steady_clock::now() >= deadline)
      return cant(ErrorCode::kTimeout, "another process holds it; try again");
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return lock;
}

LockFile::~LockFile() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace fms::cache

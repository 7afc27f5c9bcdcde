#include "runtime/build_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <thread>

namespace fms {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// The locked bytes lie far beyond the notes: locks need no file behind them.
constexpr std::int64_t kLockBase = std::int64_t{1} << 40;
constexpr std::int64_t kNoteBytes = 64;
constexpr std::int64_t kNoteSlots = 65536;

std::int64_t lock_offset(const Digest& key) {
  std::uint64_t value = 0;
  std::memcpy(&value, key.bytes.data(), sizeof(value));
  return kLockBase + static_cast<std::int64_t>(value >> 2);  // below 2^62: never negative
}

std::int64_t note_offset(const Digest& key) {
  std::uint16_t slot = 0;
  std::memcpy(&slot, key.bytes.data() + 16, sizeof(slot));
  return slot % kNoteSlots * kNoteBytes;
}

// Open-file-description locks: unlike POSIX ones they aren't lost when some other descriptor of the
// file closes.
int set_lock(int fd, short type, std::int64_t offset) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = offset;
  lock.l_len = 1;
  int result = 0;
  do {
    result = fcntl(fd, F_OFD_SETLK, &lock);
  } while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

void write_note(int fd, const Digest& key, std::string_view text) {
  std::array<char, kNoteBytes> note{};
  std::copy_n(text.data(), std::min(text.size(), note.size() - 1), note.data());
  // Only a courtesy to whoever waits: a failure changes nothing.
  [[maybe_unused]] const ssize_t written = pwrite(fd, note.data(), note.size(), note_offset(key));
}

std::string read_note(int fd, const Digest& key) {
  std::array<char, kNoteBytes> note{};
  if (pread(fd, note.data(), note.size() - 1, note_offset(key)) <= 0 || note[0] == '\0') {
    return "another process";
  }
  return note.data();
}

// True if `folder` exists or can be made, is really a folder, and is this user's alone.
bool is_private_folder(const fs::path& folder) {
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return false;
  struct stat status {};
  return lstat(folder.c_str(), &status) == 0 && S_ISDIR(status.st_mode) &&
         status.st_uid == geteuid() && (status.st_mode & 077) == 0;
}

}  // namespace

fs::path BuildLocks::default_folder(const fs::path& fallback) {
  if (const char* runtime = std::getenv("XDG_RUNTIME_DIR"); runtime != nullptr && *runtime == '/') {
    const fs::path folder = fs::path(runtime) / "flashmoe-science";
    if (is_private_folder(folder)) return folder;
  }
  const fs::path shared = fmt::format("/dev/shm/flashmoe-science-{}", geteuid());
  if (is_private_folder(shared)) return shared;
  return fallback;
}

BuildLocks::BuildLocks(fs::path folder) : folder_(std::move(folder)) {}

BuildLocks::~BuildLocks() {
  if (fd_ >= 0) close(fd_);
}

int BuildLocks::descriptor() {
  const std::lock_guard lock(mutex_);
  if (opened_by_ == getpid()) return fd_;
  // A forked child shares the parent's open file, and would share its locks: it needs one of its
  // own.
  if (fd_ >= 0) close(fd_);
  opened_by_ = getpid();
  fd_ = -1;
  if (!folder_.empty() && is_private_folder(folder_)) {
    fd_ = open((folder_ / "build.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  }
  return fd_;
}

BuildLocks::Outcome BuildLocks::acquire(
    const Digest& key, std::string_view note, milliseconds patience, const CancelToken& cancel,
    const std::function<void(std::string_view, milliseconds)>& waiting) {
  const int fd = descriptor();
  Outcome outcome;
  if (fd < 0) {
    outcome.acquired = true;
    return outcome;
  }
  const std::int64_t offset = lock_offset(key);
  const Clock::time_point start = Clock::now();
  // Polled, not slept on: a blocking lock can be neither cancelled nor given up.
  milliseconds pause{1};
  milliseconds next_word{1000};
  for (;;) {
    const int error = set_lock(fd, F_WRLCK, offset);
    if (error == 0) {
      write_note(fd, key, fmt::format("{} {}", getpid(), note));
      outcome.held = Held(this, offset);
      outcome.acquired = true;
      return outcome;
    }
    if (error != EAGAIN && error != EACCES) {  // ENOLCK, EINVAL, ...: no locks here
      outcome.acquired = true;
      return outcome;
    }
    outcome.waited = true;
    const auto waited = std::chrono::duration_cast<milliseconds>(Clock::now() - start);
    if (waited >= patience || cancel.cancelled()) return outcome;
    if (waited >= next_word && waiting) {
      waiting(read_note(fd, key), waited);
      next_word = waited * 2;
    }
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, milliseconds{20});
  }
}

BuildLocks::Held::~Held() {
  if (locks_ == nullptr) return;
  const int fd = locks_->descriptor();
  if (fd >= 0) set_lock(fd, F_UNLCK, offset_);
}

BuildLocks::Held::Held(Held&& other) noexcept
    : locks_(std::exchange(other.locks_, nullptr)), offset_(other.offset_) {}

BuildLocks::Held& BuildLocks::Held::operator=(Held&& other) noexcept {
  std::swap(locks_, other.locks_);
  std::swap(offset_, other.offset_);
  return *this;
}

}  // namespace fms

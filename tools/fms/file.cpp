#include "tools/fms/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace fms::program {
namespace {

std::unexpected<Error> io_error(std::string_view what, const std::filesystem::path& file) {
  const ErrorCode code = errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo;
  return fail(code, fmt::format("can't {} {}: {}", what, file.string(), std::strerror(errno)));
}

bool write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

}  // namespace

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = other.release();
  }
  return *this;
}

int FileDescriptor::release() { return std::exchange(fd_, -1); }

void FileDescriptor::reset() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Result<std::vector<std::byte>> read_file(const std::filesystem::path& file) {
  const FileDescriptor fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return io_error("open", file);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return io_error("read", file);
  if (S_ISDIR(status.st_mode)) {
    errno = EISDIR;
    return io_error("read", file);
  }
  // One byte more than the size, so that the end shows at the first read past it.
  std::vector<std::byte> bytes(static_cast<std::size_t>(status.st_size) + 1);
  std::size_t size = 0;
  while (true) {
    if (size == bytes.size()) bytes.resize(bytes.size() * 2);
    const ssize_t n = ::read(fd.get(), bytes.data() + size, bytes.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return io_error("read", file);
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  bytes.resize(size);
  return bytes;
}

Result<void> write_file(const std::filesystem::path& file, std::span<const std::byte> bytes) {
  std::error_code ignored;
  const auto kind = std::filesystem::status(file, ignored).type();
  const bool plain =
      kind == std::filesystem::file_type::regular || kind == std::filesystem::file_type::not_found;
  if (!plain) {
    const FileDescriptor fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
    if (fd.get() < 0 || !write_all(fd.get(), bytes)) return io_error("write", file);
    return {};
  }
  std::string temporary = file.string() + ".XXXXXX";
  FileDescriptor fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (fd.get() < 0) return io_error("write", file);
  // mkostemp makes files that only the owner may read; an output is an ordinary file.
  const mode_t mask = ::umask(0);
  ::umask(mask);
  bool written = write_all(fd.get(), bytes) && ::fchmod(fd.get(), 0666 & ~mask) == 0;
  written = written && ::close(fd.release()) == 0 && ::rename(temporary.c_str(), file.c_str()) == 0;
  if (!written) {
    auto error = io_error("write", file);
    ::unlink(temporary.c_str());
    return error;
  }
  return {};
}

Result<void> write_file(const std::filesystem::path& file, std::string_view text) {
  return write_file(file, std::as_bytes(std::span(text)));
}

Result<TemporaryFile> TemporaryFile::create(std::span<const std::byte> bytes) {
  std::error_code error;
  std::filesystem::path folder = std::filesystem::temp_directory_path(error);
  if (error) folder = "/tmp";
  std::string name = (folder / "fms-XXXXXX").string();
  const FileDescriptor fd(::mkostemp(name.data(), O_CLOEXEC));
  if (fd.get() < 0) return io_error("make", name);
  TemporaryFile file(name);
  if (!write_all(fd.get(), bytes)) return io_error("write", name);
  return file;
}

TemporaryFile::~TemporaryFile() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

TemporaryFile::TemporaryFile(TemporaryFile&& other) noexcept
    : path_(std::exchange(other.path_, {})) {}

}  // namespace fms::program

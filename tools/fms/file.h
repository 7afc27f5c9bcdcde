#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "compiler/result.h"

namespace fms::program {

// The whole of a file. The error says why the system refused.
Result<std::vector<std::byte>> read_file(const std::filesystem::path& file);

// Replaces `file` whole or not at all: what stands there is kept if anything fails. A file that
// isn't a regular one, such as /dev/stdout or another link, is written through.
Result<void> write_file(const std::filesystem::path& file, std::span<const std::byte> bytes);
Result<void> write_file(const std::filesystem::path& file, std::string_view text);

// A file descriptor and its owner.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() { reset(); }
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;

  int get() const { return fd_; }
  int release();
  void reset();

 private:
  int fd_ = -1;
};

// A file that only this user may read, in the system's folder for such files; removed with the
// object. For programs that take nothing but a file.
class TemporaryFile {
 public:
  static Result<TemporaryFile> create(std::span<const std::byte> bytes);
  ~TemporaryFile();
  TemporaryFile(TemporaryFile&& other) noexcept;
  TemporaryFile& operator=(TemporaryFile&&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  explicit TemporaryFile(std::filesystem::path path) : path_(std::move(path)) {}

  std::filesystem::path path_;
};

}  // namespace fms::program

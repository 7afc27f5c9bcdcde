#pragma once

#include <cstdint>
#include <filesystem>

#include "compiler/result.h"

namespace fms::cache {

// Which file a path names, as far as the system tells. Equal identities: the same file; where it
// counts, with the same contents.
struct FileIdentity {
  std::uint64_t device = 0, inode = 0;
  std::int64_t size = 0, modified_ns = 0;

  bool same_file(const FileIdentity& other) const {
    return device == other.device && inode == other.inode;
  }
  bool operator==(const FileIdentity&) const = default;
};

// kNotFound if there is no such file.
Result<FileIdentity> identity_of(const std::filesystem::path& file);

// Makes `directory` and what is missing above it (0700), and checks that it is a place where only
// this user can write: a real directory, the user's own, not writable by group or others, and
// writable now. Returns its path without symbolic links.
Result<std::filesystem::path> prepare_folder(const std::filesystem::path& directory);

// Checks that `file` of a writable store is a plain file of this user's.
Result<void> check_own_file(const std::filesystem::path& file);

// Checks that nobody but its owner and root can write `file`, nor put another in its place.
Result<void> check_shared_file(const std::filesystem::path& file);

// Checks that nobody but this user and root can have written `file`, or can put another in its
// place: what it takes to run code from it. The error says who could. REQUIRES: no symbolic links
// in its path.
Result<void> check_trusted_file(const std::filesystem::path& file);

// True for file systems on which several machines may share a file: there the shared memory that
// WAL needs isn't shared.
bool is_network_file_system(std::uint64_t statfs_type);
bool on_network_file_system(const std::filesystem::path& path);

bool folder_is_writable(const std::filesystem::path& directory);

// Waits until the disk has `file` (or the folder's entries, if it is one).
Result<void> sync_file(const std::filesystem::path& file);

}  // namespace fms::cache

#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cache/kernel_store.h"

namespace fms {

// A folder of the test's own, gone with it.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// Collects what a store warns of.
class Warnings {
 public:
  std::function<void(std::string_view)> listener();
  std::vector<std::string> all() const;
  bool mention(std::string_view words) const;

 private:
  struct Shared {
    mutable std::mutex mutex;
    std::vector<std::string> messages;
  };
  std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
};

inline constexpr const char* kCompiler = "nvrtc 13.0.88 build 1";
inline constexpr const char* kHostCompiler = "llvm 19.1.7 build 1";
inline constexpr std::size_t kSampleBytes = 4000;

Digest sample_key(int n);
// Object code that depends on n in every field that can.
ObjectCode sample_object(int n, std::size_t size = kSampleBytes);
// The same for a CPU, to be executed by whoever loads it.
ObjectCode sample_host_object(int n);
StoreRecord sample_record(int n);
StoredFailure sample_failure(int n);
Target sample_target();

// True if the store serves sample_object(n, size) under sample_key(n), in every field.
bool serves(KernelStore& store, int n, std::size_t size = kSampleBytes);
// True if it serves nothing there; false also if it serves anything wrong.
bool misses(KernelStore& store, int n);
bool equal(const ObjectCode& a, const ObjectCode& b);

std::unique_ptr<KernelStore> open_or_die(const std::filesystem::path& directory,
                                         StoreOptions options = {});
// A store with sample objects [0, count), closed again.
void make_sample_store(const std::filesystem::path& directory, int count,
                       std::size_t size = kSampleBytes, StoreOptions options = {});

std::string read_file(const std::filesystem::path& file);
void write_file(const std::filesystem::path& file, const std::string& bytes);
// Runs constant SQL on a store's file, past all its checks.
void tamper(const std::filesystem::path& file, const char* sql);
std::string query(const std::filesystem::path& file, const char* sql);

// Runs `body` in a forked child; its exit status: 0 if it returned true, 1 if false.
int in_child(const std::function<bool()>& body);
// The same in a child that isn't root, to whom `folder` is given: root may write anywhere.
int in_child_of_plain_user(const TemporaryFolder& folder, const std::function<bool()>& body);
// As in_child() without waiting: the child's id.
int start_child(const std::function<bool()>& body);
int wait_for(int child);  // its exit status, or 1000 plus the signal that ended it

}  // namespace fms

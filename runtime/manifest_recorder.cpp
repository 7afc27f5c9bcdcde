#include "runtime/manifest_recorder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "runtime/log.h"

namespace fms {

ManifestRecorder::ManifestRecorder(std::filesystem::path file) : file_(std::move(file)) {
  if (file_.empty()) return;
  std::error_code ignored;
  if (!std::filesystem::exists(file_, ignored)) return;
  const Result<Manifest> present = Manifest::read(file_);
  if (!present) {
    log_warn(fmt::format("{}; recording goes on at its end", present.error().message));
    return;
  }
  for (const ManifestEntry& entry : present->entries) lines_.insert(to_json_line(entry));
}

void ManifestRecorder::record(const ManifestEntry& entry) {
  if (!recording()) return;
  const std::string line = to_json_line(entry) + "\n";
  const std::lock_guard lock(mutex_);
  if (!lines_.insert(line.substr(0, line.size() - 1)).second) return;
  // One write of a whole line to a file opened for appending: lines of several processes don't mix.
  const int fd = open(file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  const bool written =
      fd >= 0 && write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  const int error = errno;
  if (fd >= 0) close(fd);
  if (!written && !warned_) {
    warned_ = true;
    log_warn(fmt::format("can't record to the manifest {}: {}", file_.string(),
                         std::error_code(error, std::generic_category()).message()));
  }
}

}  // namespace fms

#include "tools/fms/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

extern char** environ;

namespace fms::program {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (const std::string& text : texts) list.push_back(const_cast<char*>(text.c_str()));
  list.push_back(nullptr);
  return list;
}

std::vector<std::string> merged_environment(const std::vector<std::string>& extra) {
  std::vector<std::string> merged = extra;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text(*variable);
    const std::string_view name = text.substr(0, text.find('=') + 1);
    bool replaced = false;
    for (const std::string& other : extra) replaced |= other.starts_with(name);
    if (!replaced) merged.emplace_back(text);
  }
  return merged;
}

// What posix_spawn does between fork and exec, freed at the end.
class SpawnPlan {
 public:
  SpawnPlan() {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
  }
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;

  void put(int from, int to) { posix_spawn_file_actions_adddup2(&actions_, from, to); }
  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

}  // namespace

std::string to_string(const ExitStatus& status) {
  if (status.signal == 0) return fmt::format("exit code {}", status.code);
  const char* name = ::strsignal(status.signal);
  return fmt::format("signal {} ({})", status.signal, name == nullptr ? "unknown" : name);
}

std::string own_path() {
  std::error_code error;
  // As it was called, links not followed: .venv/bin/fms finds NVRTC in .venv by that name.
  std::ifstream command_line("/proc/self/cmdline", std::ios::binary);
  std::string called;
  std::getline(command_line, called, '\0');
  if (called.find('/') != std::string::npos) {
    const auto path = std::filesystem::absolute(called, error);
    if (!error && std::filesystem::is_regular_file(path, error)) return path.string();
  }
  const auto path = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "fms" : path.string();
}

Result<ChildProcess> ChildProcess::start(const std::vector<std::string>& command,
                                         const std::vector<std::string>& environment) {
  // A socket for the input, since a write to one can be told not to raise SIGPIPE.
  int input[2], output[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, input) != 0) {
    return fail(ErrorCode::kIo,
                fmt::format("can't start {}: {}", command.front(), std::strerror(errno)));
  }
  FileDescriptor ours_in(input[0]), theirs_in(input[1]);
  if (::pipe2(output, O_CLOEXEC) != 0) {
    return fail(ErrorCode::kIo,
                fmt::format("can't start {}: {}", command.front(), std::strerror(errno)));
  }
  FileDescriptor ours_out(output[0]), theirs_out(output[1]);
  SpawnPlan plan;
  plan.put(theirs_in.get(), STDIN_FILENO);
  plan.put(theirs_out.get(), STDOUT_FILENO);
  const std::vector<std::string> variables = merged_environment(environment);
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, command.front().c_str(), plan.actions(), plan.attributes(),
                                   pointers(command).data(), pointers(variables).data());
  if (error != 0) {
    return fail(error == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
                fmt::format("can't start {}: {}", command.front(), std::strerror(error)));
  }
  return ChildProcess(pid, std::move(ours_in), std::move(ours_out));
}

ChildProcess::ChildProcess(pid_t pid, FileDescriptor input, FileDescriptor output)
    : pid_(pid), input_(std::move(input)), output_(std::move(output)) {}

ChildProcess::~ChildProcess() { kill_and_reap(); }

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)),
      input_(std::move(other.input_)),
      output_(std::move(other.output_)) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this != &other) {
    kill_and_reap();
    pid_ = std::exchange(other.pid_, 0);
    input_ = std::move(other.input_);
    output_ = std::move(other.output_);
  }
  return *this;
}

void ChildProcess::kill_and_reap() {
  if (pid_ == 0) return;
  ::kill(pid_, SIGKILL);
  wait();
}

bool ChildProcess::send(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::send(input_.get(), text.data(), text.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

std::string ChildProcess::read_output() {
  std::string text;
  char piece[8192];
  while (true) {
    const ssize_t n = ::read(output_.get(), piece, sizeof(piece));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return text;
    text.append(piece, static_cast<std::size_t>(n));
  }
}

void ChildProcess::terminate() {
  if (pid_ != 0) ::kill(pid_, SIGTERM);
}

ExitStatus ChildProcess::wait() {
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = 0;
  if (WIFSIGNALED(status)) return {.code = 0, .signal = WTERMSIG(status)};
  return {.code = WEXITSTATUS(status), .signal = 0};
}

}  // namespace fms::program

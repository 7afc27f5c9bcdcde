#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "compiler/result.h"
#include "tools/fms/file.h"

namespace fms::program {

// How a process ended.
struct ExitStatus {
  int code = 0;
  int signal = 0;  // not 0: this ended it

  bool ok() const { return code == 0 && signal == 0; }
};

std::string to_string(const ExitStatus& status);  // "exit code 3", "signal 11 (Segmentation fault)"

// The path of this program's own file, to start it again.
std::string own_path();

// A child process; its standard input and output are pipes held here. Killed and reaped with the
// object.
//
// Not thread-safe.
class ChildProcess {
 public:
  // `environment` are NAME=VALUE on top of this process's own. A program without a slash is looked
  // for on PATH.
  static Result<ChildProcess> start(const std::vector<std::string>& command,
                                    const std::vector<std::string>& environment = {});
  ~ChildProcess();
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;

  bool send(std::string_view text);  // false: the child doesn't read any more
  void close_input() { input_.reset(); }
  int output() const { return output_.get(); }  // to read and to poll
  std::string read_output();                    // until the child closes it

  pid_t pid() const { return pid_; }
  void terminate();   // SIGTERM
  ExitStatus wait();  // REQUIRES: not waited for before

 private:
  ChildProcess(pid_t pid, FileDescriptor input, FileDescriptor output);
  void kill_and_reap();

  pid_t pid_ = 0;
  FileDescriptor input_, output_;
};

}  // namespace fms::program

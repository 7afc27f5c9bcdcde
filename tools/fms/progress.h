#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

namespace fms::program {

// Shows how far long work has come, on standard error: a bar that redraws itself on a terminal, a
// line every five seconds elsewhere. Quiet work that is done within a second shows nothing.
//
// Not thread-safe.
class Progress {
 public:
  Progress(std::string label, std::size_t total);
  ~Progress();  // takes the bar away
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `doing` is what is being worked on now.
  void update(std::size_t done, std::string_view doing = {});
  // A line of its own, above the bar.
  void say(std::string_view line);

 private:
  using Clock = std::chrono::steady_clock;
  void draw(std::size_t done, std::string_view doing);
  void erase();

  std::string label_;
  std::size_t total_;
  bool terminal_;
  bool drawn_ = false;
  Clock::time_point started_, shown_;
};

}  // namespace fms::program

#include "tools/fms/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace fms::program {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kRedraw{100};
constexpr milliseconds kQuietStart{1000};
constexpr milliseconds kLineEvery{5000};
constexpr std::size_t kBarColumns = 24;

std::size_t terminal_columns() {
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

}  // namespace

Progress::Progress(std::string label, std::size_t total)
    : label_(std::move(label)),
      total_(total),
      terminal_(::isatty(STDERR_FILENO) == 1),
      started_(Clock::now()),
      shown_(started_) {}

Progress::~Progress() { erase(); }

void Progress::update(std::size_t done, std::string_view doing) {
  const auto now = Clock::now();
  if (!terminal_) {
    if (now - shown_ < kLineEvery) return;
    fmt::print(stderr, "{}: {} of {} after {} s{}{}\n", label_, done, total_,
               std::chrono::duration_cast<std::chrono::seconds>(now - started_).count(),
               doing.empty() ? "" : ": ", doing);
    shown_ = now;
    return;
  }
  if (now - started_ < kQuietStart || now - shown_ < kRedraw) return;
  draw(done, doing);
  shown_ = now;
}

void Progress::say(std::string_view line) {
  erase();
  fmt::print(stderr, "{}\n", line);
}

void Progress::draw(std::size_t done, std::string_view doing) {
  const std::size_t filled = total_ == 0 ? kBarColumns : kBarColumns * done / total_;
  std::string line = fmt::format("{} [{:#<{}}{:.<{}}] {}/{} {}", label_, "", filled, "",
                                 kBarColumns - std::min(filled, kBarColumns), done, total_, doing);
  line.resize(std::min(line.size(), terminal_columns() - 1));
  fmt::print(stderr, "\r{}\x1b[K", line);
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::erase() {
  if (std::exchange(drawn_, false)) fmt::print(stderr, "\r\x1b[K");
}

}  // namespace fms::program

#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "compiler/result.h"

namespace fms::program {

// Processes that work through a list: each reads one item a line on its standard input and answers
// one line on its standard output. A worker gets its next item when it has answered, so that all
// stay busy to the end.
struct WorkerPoolOptions {
  std::vector<std::string> command;
  int workers = 1;
  int attempts = 2;                 // how often an item is tried if workers die of it
  std::function<bool()> cancelled;  // asked whenever something happens, and on a signal
};

// What became of one item.
struct WorkOutcome {
  std::size_t item = 0;
  std::string answer;  // the line; empty if every worker that tried it died
  std::string death;   // how the last worker that tried it died; empty: it answered
  int attempts = 1;
};

// Works through `items`, and tells of each as it is done, in any order. `started` is called when a
// worker is given an item, `died` when a worker died of one that is tried again. Fails if no worker
// can be started, and with kCancelled: then the workers have been ended. Items hold no newline.
struct WorkEvents {
  std::function<void(std::size_t item)> started;
  std::function<void(std::size_t item, const std::string& death)> died;
  std::function<void(const WorkOutcome& outcome)> done;
};
Result<void> work_through(const WorkerPoolOptions& options, std::span<const std::string> items,
                          const WorkEvents& events);

}  // namespace fms::program

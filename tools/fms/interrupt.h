#pragma once

namespace fms::program {

// While one lives, Ctrl-C and SIGTERM are noted instead of ending the process; a second one ends
// it. At most one at a time.
class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();  // as it was before
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

  bool interrupted() const;
};

}  // namespace fms::program

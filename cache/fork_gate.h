#pragma once

#include <mutex>

namespace fms::cache {

// Keeps fork() and the use of SQLite apart. A child must inherit no open database: SQLite counts
// its file locks in process memory, the locks themselves aren't inherited, and so even a fresh
// connection in the child would believe to hold locks that it doesn't. So fork() waits until nobody
// is inside, has every member close its connections, and lets parent and child open them anew.
class ForkGate {
 public:
  // Called by fork() in the parent, before it happens, with every thread kept out.
  class Member {
   public:
    virtual void close_for_fork() = 0;

   protected:
    ~Member() = default;
  };

  // Being inside. Not to be held while calling the caller's functions: they might fork.
  class Pass {
   public:
    Pass();
    ~Pass();
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;
  };

  static void add(Member& member);
  static void remove(Member& member);  // REQUIRES: the caller holds no Pass
};

}  // namespace fms::cache

#include "python/native/interrupt.h"

#include <chrono>
#include <future>
#include <system_error>
#include <thread>

namespace fms::python {
namespace {

// How long a Ctrl-C may go unseen.
constexpr std::chrono::milliseconds kPatience{20};

}  // namespace

bool run_interruptible(const std::function<void(const CancelToken&)>& work) {
  const CancelToken cancel;
  std::promise<void> promise;
  const std::future<void> done = promise.get_future();
  std::thread thread;
  try {
    thread = std::thread([&] {
      work(cancel);
      promise.set_value();
    });
  } catch (const std::system_error&) {  // no more threads: then without Ctrl-C
    const WithoutGil unlocked;
    work(cancel);
    return true;
  }
  PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
  for (bool finished = false; !finished;) {
    {
      const WithoutGil unlocked;
      finished = done.wait_for(kPatience) == std::future_status::ready;
      if (finished) thread.join();
    }
    if (type == nullptr && PyErr_CheckSignals() != 0) {
      PyErr_Fetch(&type, &value, &traceback);
      cancel.cancel();
    }
  }
  if (type == nullptr) return true;
  PyErr_Restore(type, value, traceback);
  return false;
}

}  // namespace fms::python

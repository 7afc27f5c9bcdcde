#include "tools/fms/interrupt.h"

#include <csignal>

namespace fms::program {
namespace {

// A signal handler reaches nothing but globals.
volatile std::sig_atomic_t g_interrupted = 0;
struct sigaction g_before_interrupt, g_before_terminate;

void note(int) { g_interrupted = 1; }

}  // namespace

InterruptScope::InterruptScope() {
  g_interrupted = 0;
  struct sigaction action {};
  action.sa_handler = note;
  // No SA_RESTART: a wait in poll() is to end. SA_RESETHAND: the second Ctrl-C is for real.
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  ::sigaction(SIGINT, &action, &g_before_interrupt);
  ::sigaction(SIGTERM, &action, &g_before_terminate);
}

InterruptScope::~InterruptScope() {
  ::sigaction(SIGINT, &g_before_interrupt, nullptr);
  ::sigaction(SIGTERM, &g_before_terminate, nullptr);
}

bool InterruptScope::interrupted() const { return g_interrupted != 0; }

}  // namespace fms::program

#include "stop_signals.hpp"

#include <csignal>
#include <initializer_list>

namespace gradflow::apps {
namespace {

volatile std::sig_atomic_t requested = 0;

void note(int) { requested = 1; }

void note_on(int signal, int flags) {
  struct sigaction action = {};
  action.sa_handler = note;
  action.sa_flags = SA_RESTART | flags;
  sigemptyset(&action.sa_mask);
  sigaction(signal, &action, nullptr);
}

}  // namespace

void catch_stop_signals() {
  note_on(SIGUSR1, 0);  // batch systems repeat it, and both mpirun and its shell may pass it on
  for (const int signal : {SIGTERM, SIGINT}) {
    note_on(signal, int(SA_RESETHAND));  // the second meets the default action
  }
}

bool stop_requested() { return requested != 0; }

}  // namespace gradflow::apps

#include "stop_signals.hpp"

#include <csignal>
#include <initializer_list>

namespace gradflow::apps {
namespace {

volatile std::sig_atomic_t requested = 0;

/// SA_RESETHAND: the second signal meets the default action.
void note(int) { requested = 1; }

}  // namespace

void catch_stop_signals() {
  struct sigaction action = {};
  action.sa_handler = note;
  action.sa_flags = SA_RESTART | int(SA_RESETHAND);
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGUSR1, SIGTERM, SIGINT}) sigaction(signal, &action, nullptr);
}

bool stop_requested() { return requested != 0; }

}  // namespace gradflow::apps

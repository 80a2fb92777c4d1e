#pragma once

namespace gradflow::apps {

/// From now on SIGUSR1, SIGTERM and SIGINT ask for an orderly stop; a second one ends the process at once.
void catch_stop_signals();

/// Whether such a signal has come.
bool stop_requested();

}  // namespace gradflow::apps

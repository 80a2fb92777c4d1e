#pragma once

namespace gradflow::apps {

/// From now on SIGUSR1, SIGTERM and SIGINT ask for an orderly stop. A second SIGTERM or SIGINT ends the
/// process at once; SIGUSR1 may come as often as it likes.
void catch_stop_signals();

/// Whether such a signal has come.
bool stop_requested();

}  // namespace gradflow::apps

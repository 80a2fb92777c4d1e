#pragma once

namespace gradflow::mpi {

/// Reads the variables below, so that a mistake in them is found before the first send.
/// @throws UserError if one is no whole number, 0 or more
void read_rehearsal();

/// GRADFLOW_SYNCHRONOUS_SENDS=1: no send completes before its receiver has begun to receive, as with the
/// largest messages on the busiest network. For tests.
bool sends_are_synchronous();

/// GRADFLOW_SEND_DELAY_MICROSECONDS=N: sleeps for a pseudo-random time up to N microseconds, another on every
/// rank and at every call. For tests.
void delay_a_send();

}  // namespace gradflow::mpi

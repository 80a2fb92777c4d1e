#pragma once

#include <cstdint>
#include <functional>
#include <string>

/// Work on files that nobody vouches for, in a process of its own.
///
/// HDF5 1.10.8 crashes or hangs on crafted files (23 crashes and 9 hangs in 4,000 files with 1 to 4 bytes
/// changed). What it is given by others is therefore read in a child process with a limit on memory and time,
/// and its death is a message instead of ours.
namespace gradflow {

/// What a child may take.
struct Allowance {
  std::uint64_t bytes = 0;        ///< of memory, beyond what the process has when it begins
  std::uint64_t cpu_seconds = 0;  ///< of all its threads; a process that waits for others does not age
};

/// What reading files that occupy so many bytes together may take: 512 MiB and eight times their size, but no
/// more than this host has; 60 seconds, and one more for every 4 MiB. GRADFLOW_READING_SECONDS in the
/// environment takes the place of the 60.
Allowance allowance_for(std::uint64_t file_bytes);

/// How a child ended.
struct Ending {
  int status = 0;         ///< what `act` returned; meaningless if a signal came
  int signal = 0;         ///< what killed it; 0: nothing did
  std::string complaint;  ///< all it wrote on standard error, up to 1 MiB

  /// Why it died, for a message: "hung", "crashed"; empty if it did not die of what it read.
  std::string cause_of_death() const;
};

/// Runs `act` in a child process and waits for it. Standard output is shared, standard error is collected: a
/// library that dies speaks there too.
/// @pre neither MPI nor HDF5 nor a second thread is in use
/// @throws Error if the system makes no process
Ending contained(const Allowance& allowance, const std::function<int()>& act);

}  // namespace gradflow

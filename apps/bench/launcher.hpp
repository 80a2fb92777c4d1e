#pragma once

#include <string>
#include <vector>

namespace gradflow::bench {

/// Starts other programs in the environment this one was started in: MPI leaves variables behind that would
/// make a child believe it belongs to our job.
class Launcher {
 public:
  /// Remembers the environment. @pre before MPI is initialised
  Launcher();

  /// The same with one more variable.
  Launcher with(const std::string& name, const std::string& value) const;

  /// What the program wrote to stdout. What it wrote to stderr is shown if it fails.
  /// @param command  the program, found on PATH, and its arguments
  /// @throws Error if it cannot be started or ends with another status than 0
  std::string output_of(const std::vector<std::string>& command) const;

  /// mpirun with `ranks` ranks, unbound.
  std::string output_of_ranks(int ranks, const std::vector<std::string>& command) const;

 private:
  std::vector<std::string> environment_;  ///< NAME=value
};

/// A program beside this one: "gradflow", "gradflow_bench".
std::string sibling(const std::string& program);

}  // namespace gradflow::bench

#pragma once

#include <string>
#include <vector>

namespace gradflow::apps {

/// Everything a batch script for Slurm says.
struct BatchScript {
  int nodes = 1;
  int ranks_per_node = 1;
  int cores_per_rank = 1;
  double memory_per_node = 0;        ///< bytes
  double seconds = 0;                ///< the time limit
  double seconds_to_stop = 0;        ///< asked to stop so long before the limit
  int most_restarts = 0;             ///< 0: a job that was stopped is not put back into the queue
  std::string partition;             ///< empty: the site's default
  std::string account;               ///< empty: the user's default
  std::string program;               ///< path of gradflow, the same on every node
  std::vector<std::string> command;  ///< what gradflow is given
};

/// The text that sbatch reads, with all of jobs/slurm/drain.sh inside: it needs no other file.
///
/// Program and command may hold any character: they are quoted. Partition and account stand where nothing can
/// be quoted. @pre is_plain_name(partition) and of account, unless empty
std::string text_of(const BatchScript& script);

/// One word of a shell, whatever the text: 'it'\''s'.
std::string shell_quoted(const std::string& text);

/// Letters, digits and _ - . , : = @ + only, not a dash first: what partitions and accounts are made of.
bool is_plain_name(const std::string& text);

}  // namespace gradflow::apps

#include "batch_script.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdint>

#include <fmt/format.h>

#include "drain.hpp"
#include "gradflow/core/errors.hpp"

namespace gradflow::apps {
namespace {

/// Slurm counts whole minutes: the limit is rounded up.
std::string time_limit(double seconds) {
  const auto minutes = std::int64_t(std::ceil(seconds / 60));
  return fmt::format("{}-{:02}:{:02}:00", minutes / 1440, minutes / 60 % 24, minutes % 60);
}

std::string option(const std::string& name, const std::string& value) {
  return value.empty() ? "" : fmt::format("#SBATCH --{}={}\n", name, value);
}

}  // namespace

std::string shell_quoted(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

bool is_plain_name(const std::string& text) {
  const auto plain = [](unsigned char c) {
    return std::isalnum(c) != 0 || std::string("_-.,:=@+").find(char(c)) != std::string::npos;
  };
  return !text.empty() && text.front() != '-' && std::ranges::all_of(text, plain);
}

std::string text_of(const BatchScript& script) {
  expect(script.partition.empty() || is_plain_name(script.partition), "a partition is a plain name");
  expect(script.account.empty() || is_plain_name(script.account), "an account is a plain name");
  const std::string launcher = script.nodes == 1
                                   ? R"(mpirun -q --map-by "slot:PE=$SRUN_CPUS_PER_TASK" --bind-to core)"
                                   : "srun --mpi=pmix --kill-on-bad-exit=1 --cpu-bind=cores";
  std::string text = "#!/bin/bash\n# Written by gradflow submit " GRADFLOW_VERSION ".\n#\n";
  text += "#SBATCH --job-name=gradflow\n#SBATCH --output=gradflow-%j.log\n#SBATCH --open-mode=append\n";
  text += fmt::format("#SBATCH --nodes={}\n#SBATCH --ntasks-per-node={}\n#SBATCH --cpus-per-task={}\n",
                      script.nodes, script.ranks_per_node, script.cores_per_rank);
  text += fmt::format("#SBATCH --mem={}M\n", std::int64_t(std::ceil(script.memory_per_node / (1 << 20))));
  text += fmt::format("#SBATCH --time={}\n", time_limit(script.seconds));
  text += fmt::format("#SBATCH --signal=B:USR1@{:.0f}\n", std::ceil(script.seconds_to_stop));
  text += script.most_restarts > 0 ? "#SBATCH --requeue\n" : "#SBATCH --no-requeue\n";
  text += option("partition", script.partition) + option("account", script.account);
  text += fmt::format("\nGRADFLOW={}\nMOST_RESTARTS={}\n\n{}\nrun_and_requeue {} \"$gradflow\"",
                      shell_quoted(script.program), script.most_restarts, drain_script, launcher);
  for (const std::string& word : script.command) text += " " + shell_quoted(word);
  return text + "\n";
}

}  // namespace gradflow::apps

#include "sweep_run.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "gradflow/store/result_file.hpp"

namespace gradflow::bench {
namespace {

/// Groups work at the same time on about as many points each.
double seconds_in(const std::filesystem::path& result, int groups) {
  const store::ResultFile file = store::ResultFile::open(result);
  const std::vector<double> seconds = file.read("wall_seconds", 0, file.points());
  return std::accumulate(seconds.begin(), seconds.end(), 0.0) / groups;
}

}  // namespace

double run_sweep(const Settings& settings, const std::string& sweep, Spread spread) {
  const std::filesystem::path input = settings.folder / "bench.toml";
  const std::filesystem::path output = settings.folder / "bench.h5";
  std::ofstream(input) << sweep;
  std::filesystem::remove(output);
  settings.launcher.output_of_ranks(
      spread.ranks, {sibling("gradflow"), "run", input, "-o", output, "--threads",
                     std::to_string(spread.threads), "--stages", std::to_string(spread.stages)});
  return seconds_in(output, spread.ranks / spread.stages);
}

}  // namespace gradflow::bench

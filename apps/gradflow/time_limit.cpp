#include "time_limit.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
#include <sstream>
#include <unistd.h>

#include "commands.hpp"

namespace gradflow::apps {
namespace {

using Clock = std::chrono::steady_clock;

/// How long this process exists, loading and start of MPI included; 0 if the system does not tell.
double age_of_process() {
  std::ifstream file("/proc/self/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  constexpr int fields_before_start = 19;  // after the name, which stands in brackets and may hold anything
  std::istringstream fields(text.substr(std::min(text.size(), text.rfind(')') + 1)));
  std::string skipped;
  for (int i = 0; i < fields_before_start; ++i) fields >> skipped;
  double ticks = 0;
  std::timespec now = {};
  if (!(fields >> ticks) || clock_gettime(CLOCK_BOOTTIME, &now) != 0) return 0;
  const double since_boot = double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
  return std::max(0.0, since_boot - ticks / double(sysconf(_SC_CLK_TCK)));
}

/// Seconds until Slurm ends the job.
std::optional<double> left_of_job() {
  const char* text = std::getenv("SLURM_JOB_END_TIME");
  if (text == nullptr) return {};
  std::int64_t end = 0;
  const auto [last, error] = std::from_chars(text, text + std::strlen(text), end);
  if (error != std::errc() || *last != '\0') return {};
  return double(end) - double(std::time(nullptr));
}

}  // namespace

std::optional<std::function<double()>> time_limit(const std::optional<std::string>& max_time) {
  std::optional<double> left = left_of_job();
  if (max_time) {
    const double own = seconds_of(*max_time) - age_of_process();
    left = std::min(own, left.value_or(own));
  }
  if (!left) return {};
  return [begin = Clock::now(), seconds = *left] {
    return seconds - std::chrono::duration<double>(Clock::now() - begin).count();
  };
}

}  // namespace gradflow::apps

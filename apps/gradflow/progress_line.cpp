#include "progress_line.hpp"

#include <unistd.h>

#include <fmt/core.h>

#include "commands.hpp"

namespace gradflow::apps {
namespace {

constexpr double batch_log_interval_seconds = 30;

std::string rate_and_rest(std::uint64_t measured, std::uint64_t missing, double seconds) {
  if (measured == 0 || seconds <= 0) return "";
  const double rate = double(measured) / seconds;
  return fmt::format(", {:.3g} points/s, {} left", rate, readable_seconds(double(missing) / rate));
}

}  // namespace

ProgressLine::ProgressLine() : terminal_(isatty(STDERR_FILENO) != 0) {}

void ProgressLine::show(std::uint64_t finished, std::uint64_t points) {
  const Clock::time_point now = Clock::now();
  const bool first = !first_finished_;
  if (first) {
    first_finished_ = finished;
    start_ = now;
  }
  const bool at_the_end = finished == points && finished != shown_;
  const double since_last = std::chrono::duration<double>(now - last_).count();
  if (!first && !terminal_ && !at_the_end && since_last < batch_log_interval_seconds) return;
  last_ = now;
  shown_ = finished;

  const double seconds = std::chrono::duration<double>(now - start_).count();
  const std::string text =
      fmt::format("{} / {} points ({:.1f} %){}", finished, points, 100.0 * double(finished) / double(points),
                  rate_and_rest(finished - *first_finished_, points - finished, seconds));
  if (terminal_) {
    fmt::print(stderr, "\r\033[K{}", text);
  } else {
    fmt::print(stderr, "{}\n", text);
  }
  std::fflush(stderr);
  live_ = terminal_;
}

void ProgressLine::end() {
  if (live_) fmt::print(stderr, "\n");
  live_ = false;
}

}  // namespace gradflow::apps

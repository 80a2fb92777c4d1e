#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace gradflow::apps {

/// How far the sweep is, on stderr: one live line on a terminal, a line now and then in a batch log.
class ProgressLine {
 public:
  ProgressLine();

  /// The first call, before anything is measured, begins the time of the rate.
  void show(std::uint64_t finished, std::uint64_t points);

  /// Leaves the live line.
  void end();

 private:
  using Clock = std::chrono::steady_clock;

  Clock::time_point start_;  ///< of the measuring
  Clock::time_point last_;
  std::uint64_t shown_ = 0;
  std::optional<std::uint64_t> first_finished_;  ///< what earlier launches had done
  bool terminal_;
  bool live_ = false;
};

}  // namespace gradflow::apps

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace gradflow::apps {

/// How far the sweep is, on stderr: one live line on a terminal, a line now and then in a batch log.
class ProgressLine {
 public:
  ProgressLine();

  void show(std::uint64_t finished, std::uint64_t points);

  /// Leaves the live line.
  void end();

 private:
  using Clock = std::chrono::steady_clock;

  Clock::time_point start_ = Clock::now();
  Clock::time_point last_;
  std::optional<std::uint64_t> first_finished_;  ///< what earlier launches had done
  bool terminal_;
  bool live_ = false;
};

}  // namespace gradflow::apps

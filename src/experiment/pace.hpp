#pragma once

#include <chrono>
#include <deque>

namespace gradflow::experiment {

/// How long a group's bundles take from their beginning to their end, learnt from those that have ended:
/// whether a further one can end in time.
///
/// Costs are those of layer_costs(). In a pipeline a bundle's time includes that of the bundles before it, as
/// it will for the next. All on the first stage, in seconds of any clock.
class Pace {
 public:
  /// @param seconds_per_cost  forecast, until a bundle has ended
  explicit Pace(double seconds_per_cost) : forecast_(seconds_per_cost) {}

  /// Bundles end in the order in which they began.
  void begin(double cost, double now) { active_.push_back({cost, now}); }
  void end(double now);

  /// The longest that writing to the file took.
  void wrote(double seconds);

  /// Of a bundle of this cost that begins now: the slowest of the last bundles is the measure.
  double predicted_seconds(double cost) const;

  /// Whether 1.5 times that, and one commit, fit into the time that is left.
  bool fits(double cost, double seconds_left) const;

 private:
  struct Active {
    double cost;
    double begin;
  };

  double forecast_;
  double commit_ = 0.25;  ///< seconds; a file system that is idle now may be busy in the end
  std::deque<Active> active_;
  std::deque<double> last_;  ///< seconds per cost of the last bundles
};

}  // namespace gradflow::experiment

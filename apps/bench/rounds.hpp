#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace gradflow::bench {

/// What one round measured: seconds, rates, whatever its names say.
using Round = std::map<std::string, double>;

/// The middle of a figure over the rounds, and how far it wandered.
struct Median {
  double value = 0;
  double lowest = 0;
  double highest = 0;
};

/// Rounds that each run every contender once, one after the other. A shared machine drifts from second to
/// second, so ratios are taken within a round and their median over the rounds.
class Rounds {
 public:
  /// Calls `once` to warm up, then `repeats` times for the record. @pre repeats >= 1
  Rounds(int repeats, const std::function<Round()>& once);

  Median of(const std::string& name) const;
  Median of(const std::function<double(const Round&)>& figure) const;

 private:
  std::vector<Round> rounds_;
};

/// Wall time of `work`.
double seconds_of(const std::function<void()>& work);

}  // namespace gradflow::bench

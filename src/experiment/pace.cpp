#include "pace.hpp"

#include <algorithm>

#include "gradflow/core/errors.hpp"

namespace gradflow::experiment {
namespace {

constexpr std::size_t remembered = 16;
constexpr double margin = 1.5;

}  // namespace

void Pace::end(double now) {
  expect(!active_.empty(), "a bundle ends after it began");
  const Active ended = active_.front();
  active_.pop_front();
  if (ended.cost > 0) last_.push_back((now - ended.begin) / ended.cost);
  if (last_.size() > remembered) last_.pop_front();
}

void Pace::wrote(double seconds) { commit_ = std::max(commit_, seconds); }

double Pace::predicted_seconds(double cost) const {
  return cost * (last_.empty() ? forecast_ : std::ranges::max(last_));
}

bool Pace::fits(double cost, double seconds_left) const {
  return margin * predicted_seconds(cost) + commit_ <= seconds_left;
}

}  // namespace gradflow::experiment

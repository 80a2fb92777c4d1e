#include "gradflow/stats/signal_summary.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "tile.hpp"

namespace gradflow::stats {

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

template <class Number>
void add_elements(std::vector<Number>& to, const std::vector<Number>& from) {
  for (std::size_t j = 0; j < to.size(); ++j) to[j] += from[j];
}

}  // namespace

template <class Real>
SignalSummary summarise(const Signal<Real>& signal, RowRange tile, What what) {
  expect(0 < tile.samples && tile.samples <= tile_rows, "a tile of 1 to 32 samples");
  expect(0 <= tile.first_row && tile.first_row + tile.samples <= signal.rows(), "a tile inside the signal");

  SignalSummary summary;
  summary.what_ = what;
  summary.width_ = signal.width;
  summary.samples_ = tile.samples;
  if (what == What::nothing) return summary;

  const Tile<Real> samples(signal, tile);
  summary.zeros_ = samples.zeros();
  summary.moments_ = samples.moments(what);
  if (has(what, What::norms)) summary.norms_ = samples.norms();
  if (has(what, What::directions)) summary.direction_sum_ = samples.direction_sum();
  if (has(what, What::units)) summary.live_ = samples.live_units();
  if (has(what, What::underflow)) summary.underflows_ = samples.underflows();
  return summary;
}

template SignalSummary summarise(const Signal<float>&, RowRange, What);
template SignalSummary summarise(const Signal<double>&, RowRange, What);

void SignalSummary::merge(SignalSummary next) {
  expect(!sealed_, "a sealed summary is complete");
  if (next.samples_ == 0) return;
  if (samples_ == 0) {
    *this = std::move(next);
    return;
  }
  expect(what_ == next.what_ && width_ == next.width_, "summaries of the same parts of the same signal");
  samples_ += next.samples_;
  zeros_ += next.zeros_;
  moments_.merge(next.moments_);
  norms_.merge(next.norms_);
  add_elements(direction_sum_, next.direction_sum_);
  for (std::size_t j = 0; j < live_.size(); ++j) live_[j] |= next.live_[j];
  for (int f = 0; f < format_count; ++f) underflows_[f] += next.underflows_[f];
}

void SignalSummary::count_underflown(std::int64_t log2_magnitude) {
  --zeros_;
  if (!has(what_, What::underflow)) return;
  for (int f = 0; f < format_count; ++f) underflows_[f] += log2_magnitude < formats()[f].log2_threshold;
}

void SignalSummary::seal() {
  sealed_direction_squared_ = direction_squared();
  sealed_dead_units_ = dead_units();
  direction_sum_ = {};
  live_ = {};
  sealed_ = true;
}

double SignalSummary::direction_squared() const {
  if (sealed_) return sealed_direction_squared_;
  double squared = 0;
  for (double x : direction_sum_) squared += x * x;
  return squared;
}

std::int64_t SignalSummary::dead_units() const {
  return sealed_ ? sealed_dead_units_ : std::count(live_.begin(), live_.end(), 0);
}

double SignalSummary::zero_fraction() const { return double(zeros_) / double(elements()); }

double SignalSummary::dead_unit_fraction() const {
  if (!has(what_, What::units) || samples_ == 1) return nan;
  return double(dead_units()) / double(width_);
}

double SignalSummary::mean_cosine() const {
  const double pairs = double(norms_.nonzero) * double(norms_.nonzero - 1);
  if (!has(what_, What::directions) || pairs <= 0) return nan;
  return (direction_squared() - double(norms_.nonzero)) / pairs;
}

double SignalSummary::underflow_fraction(int format) const {
  if (!has(what_, What::underflow)) return nan;
  return double(underflows_[format]) / double(elements());
}

}  // namespace gradflow::stats

#include "gradflow/stats/signal_summary.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "tile.hpp"

namespace gradflow::stats {

namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();

template <class Number>
void add_elements(std::vector<Number>& to, const std::vector<Number>& from) {
  for (std::size_t j = 0; j < to.size(); ++j) to[j] += from[j];
}

}  // namespace

template <class Real>
SignalSummary summarise(const Signal<Real>& signal, RowRange tile, What what, int loss_scale) {
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
  if (!has_any(what, further_parts)) return summary;

  summary.loss_scale_ = loss_scale;
  FurtherParts& further = summary.further_.emplace_back();
  if (has(what, What::magnitudes)) further.magnitudes = samples.magnitudes();
  if (has(what, What::loss_scaled)) {
    further.scaled = {samples.underflows(loss_scale), samples.overflows(loss_scale)};
  }
  if (has(what, What::sample_sum)) further.sum = samples.sample_sum();
  if (has(what, What::spectrum) || has(what, What::neighbours)) further.samples = samples.unit_samples();
  return summary;
}

template SignalSummary summarise(const Signal<float>&, RowRange, What, int);
template SignalSummary summarise(const Signal<double>&, RowRange, What, int);

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
  if (!further_.empty()) further_.front().merge(std::move(next.further_.front()));
}

void SignalSummary::count_underflown(std::int64_t log2_magnitude) {
  const auto count = [&](std::array<std::int64_t, format_count>& underflows, std::int64_t log2_of_it) {
    for (int f = 0; f < format_count; ++f) underflows[f] += log2_of_it < formats()[f].log2_threshold;
  };
  --zeros_;
  if (has(what_, What::underflow)) count(underflows_, log2_magnitude);
  if (has(what_, What::loss_scaled)) count(further_.front().scaled.underflows, log2_magnitude + loss_scale_);
  if (has(what_, What::magnitudes)) further_.front().magnitudes.count_lost(log2_magnitude);
}

void SignalSummary::seal() {
  if (sealed_) return;
  sealed_direction_squared_ = direction_squared();
  sealed_dead_units_ = dead_units();
  direction_sum_ = {};
  live_ = {};
  if (!further_.empty()) {
    sealed_figures_ = further_figures();
    // The counts are as small as what could replace them.
    further_.front() = {.magnitudes = {}, .scaled = further_.front().scaled, .sum = {}, .samples = {}};
  }
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

double SignalSummary::scaled_underflow_fraction(int format) const {
  if (!has(what_, What::loss_scaled)) return nan;
  return double(further_.front().scaled.underflows[std::size_t(format)]) / double(elements());
}

double SignalSummary::scaled_overflow_fraction(int format) const {
  if (!has(what_, What::loss_scaled)) return nan;
  return double(further_.front().scaled.overflows[std::size_t(format)]) / double(elements());
}

/// Mean over pairs of samples of their product, over the mean square: without the bias of 1/batch that the
/// square of the mean over a batch has.
double SignalSummary::common_share() const {
  if (samples_ < 2) return nan;
  const Scaled squares = Scaled::of(moments_.squares, 2 * moments_.exponent);
  const Scaled of_pairs = further_.front().sum.squared() - squares;
  return squares.is_zero() ? nan : (of_pairs / squares).value() / double(samples_ - 1);
}

/// Bins of whole octaves, so that no element stands near a border by rounding.
void SignalSummary::take_octaves(FurtherFigures& figures) const {
  constexpr std::int64_t far = std::int64_t(1) << 50;
  const Scaled mean_square = moments_.mean_square();
  if (!std::isfinite(mean_square.mantissa)) return;
  const std::int64_t reference = mean_square.exponent >> 1;
  figures.log2_reference = mean_square.is_zero() ? -infinity : double(reference);
  for (int bin = 0; bin < octave_bins; ++bin) {
    const std::int64_t octave = reference + first_octave + bin;
    const std::int64_t first = bin == 0 ? -far : octave;
    const std::int64_t end = bin == octave_bins - 1 ? far : octave + 1;
    figures.octaves[std::size_t(bin)] =
        double(further_.front().magnitudes.in_octaves(first, end)) / double(elements());
  }
}

void SignalSummary::take_quantiles(FurtherFigures& figures) const {
  const Scaled mean_square = moments_.mean_square();
  if (!std::isfinite(mean_square.mantissa) || mean_square.is_zero()) return;
  for (std::size_t i = 0; i < quantile_percents.size(); ++i) {
    const Scaled quantile = further_.front().magnitudes.quantile(quantile_percents[i], elements());
    figures.quantiles[i] = (quantile / sqrt(mean_square)).value();
  }
}

FurtherFigures SignalSummary::figures_of_further_parts() const {
  FurtherFigures figures;
  if (further_.empty()) return figures;
  if (has(what_, What::magnitudes)) {
    take_octaves(figures);
    take_quantiles(figures);
  }
  if (has(what_, What::sample_sum)) figures.common_share = common_share();
  const UnitSamples& samples = further_.front().samples;
  if (has(what_, What::spectrum)) figures.ranks = samples.ranks();
  if (has(what_, What::neighbours)) {
    std::ranges::transform(lags, figures.lag_cosines.begin(),
                           [&](int lag) { return samples.mean_cosine(lag); });
  }
  return figures;
}

std::shared_ptr<const FurtherFigures> SignalSummary::further_figures() const {
  if (sealed_figures_) return sealed_figures_;
  return std::make_shared<const FurtherFigures>(figures_of_further_parts());
}

double SignalSummary::underflow_fraction(int format) const {
  if (!has(what_, What::underflow)) return nan;
  return double(underflows_[format]) / double(elements());
}

}  // namespace gradflow::stats

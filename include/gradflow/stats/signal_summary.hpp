#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "gradflow/core/signal.hpp"
#include "gradflow/stats/formats.hpp"
#include "gradflow/stats/further_parts.hpp"
#include "gradflow/stats/log_norms.hpp"
#include "gradflow/stats/moments.hpp"

namespace gradflow::stats {

/// What a summary contains: a set of parts, joined with |. `squares` is the basis of all others.
enum class What : unsigned {
  nothing = 0,
  squares = 1,            ///< count, sum of squares, min, max, zeros
  moments = 2 | 1,        ///< mean and variance
  shape = 4 | 3,          ///< third and fourth central moments
  norms = 8 | 1,          ///< log10 of the samples' L2 norms
  directions = 16 | 9,    ///< sum of the samples' unit vectors, for the correlation between samples
  units = 32 | 1,         ///< which units are zero in every sample
  underflow = 64 | 1,     ///< elements that would be zero in each format
  magnitudes = 128 | 1,   ///< signs and magnitudes of the elements, for histogram and quantiles
  loss_scaled = 256 | 1,  ///< elements that would be lost in each format after scaling
  sample_sum = 512 | 1,   ///< sum of the samples, for what they have in common
  spectrum = 1024 | 9,    ///< the samples as unit vectors until the batch is whole, for their ranks
  neighbours = 2048 | 9,  ///< the same, for cosines of samples that stand near each other
  everything = 4095
};
constexpr What operator|(What a, What b) { return What(unsigned(a) | unsigned(b)); }
constexpr bool has_any(What set, What parts) { return (unsigned(set) & unsigned(parts)) != 0; }
/// The parts that are FurtherParts.
inline constexpr auto further_parts = What(128 | 256 | 512 | 1024 | 2048);

constexpr bool has(What set, What part) { return (unsigned(set) & unsigned(part)) == unsigned(part); }

class SignalSummary;

/// The summary of the samples of one tile; a pure function, made to run in parallel over tiles.
///
/// Sums run in float64 in sixteen fixed lanes (column j in lane j mod 16), so their bits do not depend on the
/// instruction set. Elements below 2^-100 of the tile's largest sample count as zero in the pooled moments
/// and the range: they could not change a bit of the sums. Norms, directions and counts see every sample at
/// its own scale.
/// @param tile  at most tile_rows samples; the padding rows are not read
/// @param loss_scale  log2 of what the elements are multiplied by for the loss-scaled counts
/// @pre the columns of `signal` beyond its width hold zero
template <class Real>
SignalSummary summarise(const Signal<Real>& signal, RowRange tile, What what, int loss_scale = 0);

/// The statistics of one signal of one layer of one point, mergeable over tiles of samples.
///
/// Exponents are taken into account everywhere: all numbers are those of the true values. A part that was not
/// asked for reads as NaN. Merging tile after tile in ascending order gives the same bits however the batch
/// was cut into microbatches: start from an empty summary and merge every tile into it.
class SignalSummary {
 public:
  SignalSummary() = default;

  /// Appends the summary of the samples that follow. @pre both of the same signal and the same parts
  void merge(SignalSummary next);

  /// An element whose stored zero stands for something of magnitude 2^log2_magnitude to twice that: no zero,
  /// then, and underflown where a format ends above.
  void count_underflown(std::int64_t log2_magnitude);

  /// Reduces what has an entry per unit to the numbers it is needed for and frees it: the figures stay as
  /// they are, to the bit. @pre nothing is merged any more
  void seal();

  What what() const noexcept { return what_; }
  int width() const noexcept { return width_; }
  std::int64_t samples() const noexcept { return samples_; }
  std::int64_t elements() const noexcept { return moments_.count; }

  const Moments& moments() const noexcept { return moments_; }
  const LogNorms& norms() const noexcept { return norms_; }

  double zero_fraction() const;       ///< true zeros, over all elements
  double dead_unit_fraction() const;  ///< units zero in every sample, over the width; NaN for one sample
  double mean_cosine() const;         ///< uncentred, over pairs of nonzero samples; NaN without a pair
  double underflow_fraction(
      int format) const;  ///< nonzero elements that formats()[format] rounds to 0, over all

  // The same of elements multiplied by 2^(loss scale).
  double scaled_underflow_fraction(int format) const;
  double scaled_overflow_fraction(int format) const;  ///< elements that formats()[format] has no number for

  /// Figures of the parts that most selections do without. Taken once when sealed, anew at each call before.
  std::shared_ptr<const FurtherFigures> further_figures() const;

 private:
  template <class Real>
  friend SignalSummary summarise(const Signal<Real>& signal, RowRange tile, What what, int loss_scale);

  What what_ = What::nothing;
  int width_ = 0;
  std::int64_t samples_ = 0;
  std::int64_t zeros_ = 0;
  Moments moments_;
  LogNorms norms_;
  double direction_squared() const;
  std::int64_t dead_units() const;
  double common_share() const;
  FurtherFigures figures_of_further_parts() const;
  void take_octaves(FurtherFigures& figures) const;
  void take_quantiles(FurtherFigures& figures) const;

  bool sealed_ = false;
  double sealed_direction_squared_ = 0;
  std::int64_t sealed_dead_units_ = 0;
  std::vector<double> direction_sum_;  ///< [width] sum of unit vectors
  std::vector<std::uint8_t> live_;     ///< [width] 1: nonzero in some sample
  std::array<std::int64_t, format_count> underflows_{};
  int loss_scale_ = 0;
  std::vector<FurtherParts> further_;  ///< one if a part of it was asked for: most summaries have none
  std::shared_ptr<const FurtherFigures> sealed_figures_;
};

}  // namespace gradflow::stats

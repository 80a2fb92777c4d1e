#pragma once

#include <vector>

namespace gradflow::stats {

/// Effective and stable rank of the samples of a signal; NaN if none has a norm, or one is no number.
struct Ranks {
  double effective;
  double stable;
};

/// The samples of a signal as unit vectors in float64, in the order of the batch; a sample without a norm is
/// a row of zeros.
///
/// They are kept until the whole batch is there: what is computed from them has one shape, however the batch
/// was cut.
class UnitSamples {
 public:
  UnitSamples() = default;
  /// @param rows  [samples][width], each of norm 1 or 0
  UnitSamples(std::vector<double> rows, int width) : rows_(std::move(rows)), width_(width) {}

  /// Appends the samples that follow. @pre equally wide
  void append(UnitSamples next);

  int samples() const noexcept { return width_ > 0 ? int(rows_.size()) / width_ : 0; }

  /// Mean cosine of samples s and s + lag, both of nonzero norm; NaN without such a pair. @pre lag >= 1
  double mean_cosine(int lag) const;

  /// Of the matrix of unit samples with singular values s_i: effective rank exp(-sum p_i ln p_i), p_i = s_i /
  /// sum s (Roy and Vetterli, EUSIPCO 2007), stable rank sum s_i^2 / max s_i^2 (Rudelson and Vershynin 2007).
  /// From the Gram matrix of the shorter side; squares below what rounding leaves count as zero.
  Ranks ranks() const;

 private:
  const double* row(int sample) const { return rows_.data() + std::size_t(sample) * std::size_t(width_); }

  std::vector<double> rows_;  ///< [samples][width]
  int width_ = 0;
};

}  // namespace gradflow::stats

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "operation.hpp"
#include "wide_row.hpp"

namespace gradflow::nn {
namespace {

/// 2^shift; 0 where nothing would be left.
double power_of_two(std::int64_t shift) {
  return std::ldexp(1.0, int(std::clamp<std::int64_t>(shift, -5000, 1000)));
}

/// The exponent that a deviation is measured in: that of the values, or of sqrt(epsilon) if it is larger, so
/// that neither under- nor overflows.
std::int64_t unit_of(const Normalization& n, std::int64_t exponent) {
  return n.epsilon > 0 ? std::max<std::int64_t>(exponent, std::ilogb(n.epsilon) / 2) : exponent;
}

/// sqrt(variance + epsilon) over 2^unit. @param variance over 2^(2 exponent)
double deviation(const Normalization& n, double variance, std::int64_t exponent, std::int64_t unit) {
  const double shift = power_of_two(exponent - unit);
  const double epsilon = n.epsilon > 0 ? n.epsilon * power_of_two(-2 * unit) : 0;
  return std::sqrt(variance * shift * shift + epsilon);
}

double quotient(double a, double b) { return b == 0 ? 0 : a / b; }

/// scale * zhat + shift
template <class Real>
FailureCode store_normalised(const Normalization& n, WideRow zhat, Signal<Real>& out, int row) {
  zhat = scaled(std::move(zhat), n.scale);
  if (n.shift != 0) {
    WideRow shift{std::vector<double>(zhat.size(), n.shift), 0};
    zhat = sum(std::move(zhat), std::move(shift));
  }
  return store(zhat, out, row);
}

/// zhat of one sample, normalised over its own units.
struct SampleNorm {
  SampleNorm(const Normalization& n, WideRow z) : zhat(std::move(z)), unit(unit_of(n, zhat.exponent)) {
    const double count = double(zhat.size());
    if (n.kind == NormalizationKind::layer) {
      double mean = 0;
      for (const double v : zhat.values) mean += v;
      mean /= count;
      for (double& v : zhat.values) v -= mean;
    }
    double variance = 0;
    for (const double v : zhat.values) variance += v * v;
    sigma = deviation(n, variance / count, zhat.exponent, unit);
    for (double& v : zhat.values) v = quotient(v, sigma);
    zhat.exponent -= unit;
  }

  /// dE/dz from g = dE/dzhat: (g - mean g - zhat mean(g zhat)) / sigma, without the first mean for rms.
  WideRow gradient(const Normalization& n, WideRow g) const {
    const double count = double(g.size());
    double mean = 0;
    double along = 0;
    for (std::size_t j = 0; j < g.size(); ++j) {
      mean += n.kind == NormalizationKind::layer ? g[j] : 0;
      along += g[j] * zhat[j];
    }
    const double shift = power_of_two(2 * zhat.exponent);
    for (std::size_t j = 0; j < g.size(); ++j) {
      g[j] = quotient(g[j] - mean / count - shift * zhat[j] * (along / count), sigma);
    }
    g.exponent -= unit;
    return g;
  }

  WideRow zhat;
  std::int64_t unit;
  double sigma = 0;  ///< over 2^unit
};

/// Rows of one point's batch, in true values over one common power of two.
template <class Real>
class Columns {
 public:
  Columns(const Signal<Real>& signal, const RowRange& range) : signal_(signal), range_(range) {
    exponent_ = std::numeric_limits<std::int32_t>::min();
    for (int s = 0; s < range.samples; ++s) {
      if (max_abs<Real>(signal.values.row(range.first_row + s)) > 0) {
        exponent_ = std::max<std::int64_t>(exponent_, signal.exponents[std::size_t(range.first_row + s)]);
      }
    }
    if (exponent_ == std::numeric_limits<std::int32_t>::min()) exponent_ = 0;
    for (int s = 0; s < range.samples; ++s) {
      factors_.push_back(power_of_two(signal.exponents[std::size_t(range.first_row + s)] - exponent_));
    }
  }

  std::int64_t exponent() const { return exponent_; }
  int samples() const { return range_.samples; }
  double operator()(int sample, std::size_t unit) const {
    return double(signal_.values.row(range_.first_row + sample)[unit]) * factors_[std::size_t(sample)];
  }

 private:
  const Signal<Real>& signal_;
  RowRange range_;
  std::int64_t exponent_;
  std::vector<double> factors_;
};

/// The gradients of scale and shift of one tile, sample after sample.
class ScaleAndShift {
 public:
  /// @param g  dE/dn of a sample
  void add(const WideRow& g, const WideRow& zhat) {
    scale_ = sum(std::move(scale_), product(g, zhat));
    shift_ = sum(std::move(shift_), g);
  }
  NormalizationTile of_point(int point) && {
    return {point, {std::move(scale_.values), scale_.exponent}, {std::move(shift_.values), shift_.exponent}};
  }

 private:
  WideRow scale_;
  WideRow shift_;
};

/// Calls body(unit) for every unit, blocks of units in parallel.
template <class Body>
void for_units(int width, Body body) {
  constexpr int block = 16;
  parallel_for((width + block - 1) / block, [&](int i) {
    for (int unit = i * block; unit < std::min(width, (i + 1) * block); ++unit) body(std::size_t(unit));
  });
}

/// Mean and deviation of every unit over one point's whole batch.
template <class Real>
struct BatchNorm {
  BatchNorm(const Normalization& n, const Signal<Real>& z, const RowRange& range)
      : columns(z, range),
        unit(unit_of(n, columns.exponent())),
        mean(std::size_t(z.width)),
        sigma(std::size_t(z.width)) {
    const double count = range.samples;
    for_units(z.width, [&](std::size_t j) {
      double total = 0;
      for (int s = 0; s < range.samples; ++s) total += columns(s, j);
      mean[j] = total / count;
      double squares = 0;
      for (int s = 0; s < range.samples; ++s) squares += std::pow(columns(s, j) - mean[j], 2);
      sigma[j] = deviation(n, squares / count, columns.exponent(), unit);
    });
  }

  double zhat(int sample, std::size_t j) const { return quotient(columns(sample, j) - mean[j], sigma[j]); }
  WideRow zhat(int sample) const {
    WideRow row{std::vector<double>(mean.size()), zhat_exponent()};
    for (std::size_t j = 0; j < row.size(); ++j) row[j] = zhat(sample, j);
    return row;
  }
  std::int64_t zhat_exponent() const { return columns.exponent() - unit; }

  Columns<Real> columns;
  std::int64_t unit;
  std::vector<double> mean;   ///< over 2^columns.exponent()
  std::vector<double> sigma;  ///< over 2^unit
};

template <class Real>
void batch_forward(const Normalization& n, const RowRange& range, const Signal<Real>& z, Signal<Real>& out,
                   RowCodes& codes) {
  const BatchNorm<Real> norm(n, z, range);
  parallel_for(range.samples, [&](int s) {
    codes.learn(range.first_row + s, store_normalised(n, norm.zhat(s), out, range.first_row + s));
  });
}

/// The gradients of scale and shift, tile by tile of one point's batch.
template <class Real>
void batch_scale_and_shift(const BatchNorm<Real>& norm, const RowRange& range, const Signal<Real>& dn,
                           std::vector<NormalizationTile>& tiles) {
  parallel_for(range.rows() / tile_rows, [&](int tile) {
    ScaleAndShift gradient;
    const int end = std::min(range.samples, (tile + 1) * tile_rows);
    for (int s = tile * tile_rows; s < end; ++s) gradient.add(wide(dn, range.first_row + s), norm.zhat(s));
    tiles[std::size_t(range.first_row / tile_rows + tile)] = std::move(gradient).of_point(range.point);
  });
}

/// dE/dz = (g - mean_s g - zhat mean_s(g zhat)) / sigma, g = dE/dzhat, unit by unit, in place.
template <class Real>
void batch_backward(const Normalization& n, const RowRange& range, const Signal<Real>& z, Signal<Real>& dn,
                    std::vector<NormalizationTile>& tiles, RowCodes& codes) {
  const BatchNorm<Real> norm(n, z, range);
  batch_scale_and_shift(norm, range, dn, tiles);
  const std::size_t width = std::size_t(z.width);
  std::vector<double> mean(width), along(width);
  std::vector<WideRow> dz(std::size_t(range.samples));
  {
    const Columns<Real> g(dn, range);
    for_units(z.width, [&](std::size_t j) {
      for (int s = 0; s < range.samples; ++s) {
        mean[j] += g(s, j) / range.samples;
        along[j] += g(s, j) * norm.zhat(s, j) / range.samples;
      }
    });
    const double shift = power_of_two(2 * norm.zhat_exponent());
    parallel_for(range.samples, [&](int s) {
      WideRow& row = dz[std::size_t(s)];
      row = {std::vector<double>(width), g.exponent() - norm.unit};
      for (std::size_t j = 0; j < width; ++j) {
        row[j] = quotient(g(s, j) - mean[j] - shift * norm.zhat(s, j) * along[j], norm.sigma[j]);
      }
    });
  }
  parallel_for(range.samples, [&](int s) {
    const int row = range.first_row + s;
    codes.learn(row, store(scaled(std::move(dz[std::size_t(s)]), n.scale), dn, row));
  });
}

}  // namespace

template <class Real>
Normalise<Real>::Normalise(const Bundle& bundle, int which) : which_(which) {
  for (const NetworkSpec& point : bundle) normalizations_.push_back(point.normalization);
}

template <class Real>
Signal<Real> Normalise<Real>::forward(Signal<Real> z, Passage<Real>& passage, Tape<Real>& tape) const {
  Signal<Real> out(z.rows(), z.width);
  for (const RowRange& range : passage.stack) {
    const Normalization& n = normalizations_[std::size_t(range.point)];
    if (n.kind == NormalizationKind::batch) {
      batch_forward(n, range, z, out, passage.codes);
      continue;
    }
    parallel_for(range.samples, [&](int s) {
      const int row = range.first_row + s;
      passage.codes.learn(row, store_normalised(n, SampleNorm(n, wide(z, row)).zhat, out, row));
    });
  }
  tape.push_back(std::move(z));
  return out;
}

template <class Real>
Signal<Real> Normalise<Real>::backward(Signal<Real> dn, Passage<Real>& passage, Tape<Real>& tape,
                                       WeightGradient<Real>& gradient) const {
  const Signal<Real> z = taken_from(tape);
  std::vector<NormalizationTile> tiles(passage.tiles.size());
  for (const RowRange& range : passage.stack) {
    const Normalization& n = normalizations_[std::size_t(range.point)];
    if (n.kind == NormalizationKind::batch) batch_backward(n, range, z, dn, tiles, passage.codes);
  }
  passage.for_tiles([&](const RowRange& tile) {
    const Normalization& n = normalizations_[std::size_t(tile.point)];
    if (n.kind == NormalizationKind::batch) return;
    ScaleAndShift of_tile;
    for_samples(tile, [&](int row) {
      const SampleNorm norm(n, wide(z, row));
      WideRow g = wide(dn, row);
      of_tile.add(g, norm.zhat);
      passage.codes.learn(row, store(norm.gradient(n, scaled(std::move(g), n.scale)), dn, row));
    });
    tiles[std::size_t(tile.first_row / tile_rows)] = std::move(of_tile).of_point(tile.point);
  });
  gradient.add_normalization(which_, std::move(tiles));
  return dn;
}

template <class Real>
void Normalise<Real>::pass_over(Passage<Real>&, Tape<Real>& tape) const {
  taken_from(tape);
}

template class Normalise<float>;
template class Normalise<double>;

}  // namespace gradflow::nn

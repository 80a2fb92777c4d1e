#pragma once

#include <cmath>
#include <vector>

#include "gradflow/core/random.hpp"
#include "gradflow/nn/data.hpp"
#include "gradflow/nn/network.hpp"

/// A dense network by its textbook formulas in plain float64: loops, no exponents, no padding, one sample at
/// a time.
namespace gradflow::nn::plain {

using Vector = std::vector<double>;

/// A unit whose preactivation is moved by hand.
struct Nudge {
  int layer = 0;  ///< 0: none
  int unit = 0;
  double amount = 0;
};

/// z[l - 1] = z_l; h[l] = h_l, h[0] the input.
struct Signals {
  std::vector<Vector> z, h;
};

class Network {
 public:
  explicit Network(const NetworkSpec& spec) : spec_(spec) {
    for (int l = 1; l <= spec.depth(); ++l) {
      const int fan_in = spec.widths.fan_in(l), fan_out = spec.widths.fan_out(l);
      const auto z = unit_weights<double>(*spec.init.scheme, spec.seed, l, fan_in, fan_out);
      const auto b = unit_bias<double>(*spec.init.scheme, spec.seed, l, fan_out);
      Layer layer{{}, Vector(std::size_t(fan_out), 0.0)};
      for (int i = 0; i < fan_out; ++i) {
        layer.weight.emplace_back();
        for (int j = 0; j < fan_in; ++j) {
          layer.weight.back().push_back(spec.init.weight_scale(fan_in, fan_out) * z(i, j));
        }
        layer.bias[std::size_t(i)] = spec.init.effective_sigma_b(fan_in) * b(0, i);
      }
      layers_.push_back(std::move(layer));
    }
  }

  double& weight(int layer, int i, int j) {
    return layers_[std::size_t(layer - 1)].weight[std::size_t(i)][std::size_t(j)];
  }
  double& bias(int layer, int i) { return layers_[std::size_t(layer - 1)].bias[std::size_t(i)]; }

  Signals forward(int sample, Nudge nudge = {}) const {  // z = W h + b, h = phi(z)
    Signals s{{}, {numbers(Purpose::data, sample, 0)}};
    for (int l = 1; l <= spec_.depth(); ++l) {
      const Layer& layer = layers_[std::size_t(l - 1)];
      Vector z = layer.bias, h;
      for (std::size_t i = 0; i < z.size(); ++i) {
        for (std::size_t j = 0; j < s.h.back().size(); ++j) z[i] += layer.weight[i][j] * s.h.back()[j];
      }
      if (nudge.layer == l) z[std::size_t(nudge.unit)] += nudge.amount;
      for (const double x : z) h.push_back(spec_.activation.value(x));
      s.z.push_back(std::move(z));
      s.h.push_back(std::move(h));
    }
    return s;
  }

  /// <c, z_L> for a cotangent c, 1/2 |h_L - y|^2 for mse, 1/2 |h_L|^2, -ln softmax(z_L)_y.
  double loss(int sample, const Signals& s) const {
    if (is("cross_entropy")) return minus_log_softmax(s.z.back(), class_of(sample));
    const Vector c = end_numbers(sample);
    double sum = 0;
    for (std::size_t i = 0; i < c.size(); ++i) {
      const double error = s.h.back()[i] - c[i];
      sum += is_cotangent() ? c[i] * s.z.back()[i] : error * error / 2;
    }
    return sum;
  }

  /// dE_s/dz_l, place l - 1.
  std::vector<Vector> backward(int sample, const Signals& s) const {
    std::vector<Vector> dz(s.z.size());
    Vector dh =
        is("cross_entropy") ? softmax_minus_one_hot(s.z.back(), class_of(sample)) : end_numbers(sample);
    for (std::size_t i = 0; i < dh.size() && !enters_at_preactivation(); ++i) dh[i] = s.h.back()[i] - dh[i];
    for (std::size_t l = s.z.size(); l-- > 0;) {
      const bool past_activation = enters_at_preactivation() && l + 1 == s.z.size();
      dz[l] = dh;
      for (std::size_t i = 0; i < dh.size() && !past_activation; ++i)
        dz[l][i] *= spec_.activation.slope(s.z[l][i]);
      dh.assign(s.h[l].size(), 0.0);
      for (std::size_t i = 0; i < dz[l].size(); ++i) {
        for (std::size_t j = 0; j < dh.size(); ++j) dh[j] += layers_[l].weight[i][j] * dz[l][i];
      }
    }
    return dz;
  }

  /// No change of a preactivation by d moves any later preactivation by more than this times d.
  double largest_growth() const {
    double growth = 1;
    for (const Layer& layer : layers_) {
      double squared = 0;
      for (const Vector& row : layer.weight) {
        for (const double w : row) squared += w * w;
      }
      growth *= std::max(1.0, std::sqrt(squared) * spec_.activation.sup_slope());
    }
    return growth;
  }

 private:
  struct Layer {
    std::vector<Vector> weight;
    Vector bias;
  };

  bool is(std::string_view loss) const { return spec_.backward.loss == loss; }
  bool is_cotangent() const { return is("random") || is("one_hot"); }
  bool enters_at_preactivation() const { return is_cotangent() || is("cross_entropy"); }
  int class_of(int sample) const { return labels(spec_, sample, 1).front(); }

  static double minus_log_softmax(const Vector& z, int label) {
    double sum = 0;
    for (const double x : z) sum += std::exp(x - z[std::size_t(label)]);
    return std::log(sum);
  }
  static Vector softmax_minus_one_hot(const Vector& z, int label) {
    Vector p;
    for (const double x : z) p.push_back(std::exp(x - z[0]));
    double sum = 0;
    for (const double x : p) sum += x;
    for (double& x : p) x /= sum;
    p[std::size_t(label)] -= 1;
    return p;
  }

  Vector numbers(Purpose purpose, int sample, int signal) const {
    Vector out(static_cast<std::size_t>(spec_.widths[signal]));
    fill_normal<double>({spec_.seed, purpose, 0}, std::uint32_t(sample), out);
    return out;
  }
  /// The cotangent, or the target of a squared error.
  Vector end_numbers(int sample) const {
    const int end_sample = is_cotangent() && spec_.backward.shared ? 0 : sample;
    if (is("random")) return numbers(Purpose::cotangent, end_sample, spec_.depth());
    if (is("mse")) return numbers(Purpose::target, end_sample, spec_.depth());
    Vector end(static_cast<std::size_t>(spec_.widths[spec_.depth()]), 0.0);
    if (is("one_hot")) end[std::size_t(class_of(end_sample))] = 1;
    return end;
  }

  NetworkSpec spec_;
  std::vector<Layer> layers_;
};

}  // namespace gradflow::nn::plain

#include <algorithm>
#include <limits>

#include <gtest/gtest.h>

#include "networks.hpp"
#include "plain_network.hpp"
#include "recording.hpp"

namespace gradflow::nn {
namespace {

using plain::Vector;

/// Small networks with every combination of bias, loss, and a batch on either side of uses_gram_matrices.
std::vector<NetworkSpec> networks_of(std::string_view activation) {
  std::vector<NetworkSpec> all;
  for (const double sigma_b : {0.0, 0.3}) {
    for (const LossRow& loss : losses()) {
      for (const int batch : {2, 5}) {
        NetworkSpec spec = network(Widths::listed({7, 5, 6, 4}), activation, 1.2, sigma_b);
        spec.seed = 3;  // no sample of which ends at a dead ReLU layer, that is at a kink
        all.push_back(with_loss(with_batch(spec, batch), loss.name));
      }
    }
  }
  return all;
}

std::string description(const NetworkSpec& spec) {
  return spec.backward.loss + ", sigma_b " + std::to_string(spec.init.sigma_b) + ", batch " +
         std::to_string(spec.batch);
}

double norm(const Vector& x) {
  double sum = 0;
  for (const double v : x) sum += v * v;
  return std::sqrt(sum);
}

double distance(const Vector& a, const Vector& b) {
  Vector difference(a.size());
  std::ranges::transform(a, b, difference.begin(), std::minus());
  return norm(difference);
}

/// Derivatives of the loss by central differences of the plain network, in float64.
class Differences {
 public:
  explicit Differences(const NetworkSpec& spec) : spec_(spec), net_(spec), step_(safe_step()) {
    EXPECT_GT(step_, 1e-7);  // rounding below 1e-8
  }

  /// dE_s/dz_l of every sample, one after the other.
  Vector of_preactivations(int layer) const {
    Vector all;
    for (int s = 0; s < spec_.batch; ++s) {
      for (int i = 0; i < spec_.widths.fan_out(layer); ++i) {
        all.push_back(derivative([&](double d) { return net_.loss(s, net_.forward(s, {layer, i, d})); }));
      }
    }
    return all;
  }

  /// dE/dW_l of the mean loss, row after row.
  Vector of_weights(int layer) const {
    Vector all;
    for (int i = 0; i < spec_.widths.fan_out(layer); ++i) {
      for (int j = 0; j < spec_.widths.fan_in(layer); ++j) {
        all.push_back(derivative([&](double d) {
          plain::Network moved = net_;
          moved.weight(layer, i, j) += d;
          return mean_loss(moved);
        }));
      }
    }
    return all;
  }

  Vector of_biases(int layer) const {
    Vector all;
    for (int i = 0; i < spec_.widths.fan_out(layer); ++i) {
      all.push_back(derivative([&](double d) {
        plain::Network moved = net_;
        moved.bias(layer, i) += d;
        return mean_loss(moved);
      }));
    }
    return all;
  }

 private:
  /// Five points: the error is step^4/30 times a fifth derivative, and 1e-16/step by rounding.
  template <class Function>
  double derivative(Function f) const {
    const double near = f(step_) - f(-step_), far = f(2 * step_) - f(-2 * step_);
    return (8 * near - far) / (12 * step_);
  }

  double mean_loss(const plain::Network& net) const {
    double sum = 0;
    for (int s = 0; s < spec_.batch; ++s) sum += net.loss(s, net.forward(s));
    return sum / spec_.batch;
  }

  /// 1e-3, or so much less that no preactivation of any sample can reach a kink.
  double safe_step() const {
    double to_kink = std::numeric_limits<double>::infinity(), largest_input = 1;
    for (int s = 0; s < spec_.batch; ++s) {
      const plain::Signals signals = net_.forward(s);
      for (const Vector& h : signals.h) {
        for (const double x : h) largest_input = std::max(largest_input, std::abs(x));
      }
      for (const Vector& z : signals.z) {
        for (const double x : z) {
          for (const double kink : spec_.activation.kinks()) to_kink = std::min(to_kink, std::abs(x - kink));
        }
      }
    }
    return std::min(1e-3, to_kink / (4 * net_.largest_growth() * largest_input));
  }

  NetworkSpec spec_;
  plain::Network net_;
  double step_;
};

Vector joined(const Samples& samples) {
  Vector all;
  for (const Row& row : samples) {
    for (std::size_t j = 0; j < row.values.size(); ++j) all.push_back(row[j]);
  }
  return all;
}

const Samples& input_of(const Recording& recording, int layer) {
  return layer == 1 ? recording.input.front() : recording.layer(layer - 1).act.front();
}

/// dz' x / B, from what the blocks showed.
Vector weight_gradient(const Recording& recording, int layer) {
  const Samples &x = input_of(recording, layer), &dz = recording.layer(layer).dgrad.front();
  Vector all;
  for (std::size_t i = 0; i < dz.front().values.size(); ++i) {
    for (std::size_t j = 0; j < x.front().values.size(); ++j) {
      double sum = 0;
      for (std::size_t s = 0; s < x.size(); ++s) sum += dz[s][i] * x[s][j];
      all.push_back(sum / double(x.size()));
    }
  }
  return all;
}

Vector bias_gradient(const Recording& recording, int layer) {
  const Samples& dz = recording.layer(layer).dgrad.front();
  Vector all(dz.front().values.size(), 0.0);
  for (const Row& row : dz) {
    for (std::size_t i = 0; i < all.size(); ++i) all[i] += row[i] / double(dz.size());
  }
  return all;
}

class EveryActivation : public testing::TestWithParam<std::string_view> {
 protected:
  /// Calls check(recording, differences, layer) for all layers of all networks.
  template <class Check>
  void for_all_layers(Check check) const {
    for (const NetworkSpec& spec : networks_of(GetParam())) {
      SCOPED_TRACE(description(spec));
      const Recording recording = record<double>({spec});
      const Differences differences(spec);
      for (int layer = 1; layer <= spec.depth(); ++layer) {
        SCOPED_TRACE(layer);
        check(recording, differences, layer);
      }
    }
  }

  static void expect_equal(const Vector& gradient, const Vector& difference) {
    ASSERT_GT(norm(difference), 1e-4);  // a network with something to measure
    EXPECT_LE(distance(gradient, difference), 1e-6 * norm(difference));
  }
};

TEST_P(EveryActivation, HasTheGradientOfPreactivationsThatFiniteDifferencesGive) {
  for_all_layers([](const Recording& recording, const Differences& differences, int layer) {
    expect_equal(joined(recording.layer(layer).dgrad.front()), differences.of_preactivations(layer));
  });
}

TEST_P(EveryActivation, HasTheGradientOfWeightsThatFiniteDifferencesGive) {
  for_all_layers([](const Recording& recording, const Differences& differences, int layer) {
    const Vector gradient = weight_gradient(recording, layer);
    expect_equal(gradient, differences.of_weights(layer));

    // A sum of 5 by 5 terms of double, whichever way it was taken, and none of these networks cancels.
    const Scaled squared = recording.layer(layer).gradients.front().weight_gradient_squared;
    EXPECT_NEAR(std::sqrt(squared.value()), norm(gradient), 1e-13 * norm(gradient));
  });
}

TEST_P(EveryActivation, HasTheGradientOfBiasesThatFiniteDifferencesGive) {
  for_all_layers([](const Recording& recording, const Differences& differences, int layer) {
    const WeightGradientNorms& norms = recording.layer(layer).gradients.front();
    const Vector gradient = bias_gradient(recording, layer);
    expect_equal(gradient, differences.of_biases(layer));
    if (!norms.has_bias) return;
    EXPECT_NEAR(std::sqrt(norms.bias_gradient_squared.value()), norm(gradient), 1e-13 * norm(gradient));
  });
}

TEST_P(EveryActivation, KnowsTheSizeOfTheGradientsOfSingleSamples) {
  for_all_layers([](const Recording& recording, const Differences&, int layer) {
    const Samples &x = input_of(recording, layer), &dz = recording.layer(layer).dgrad.front();
    Scaled sum;
    for (std::size_t s = 0; s < x.size(); ++s) sum = sum + x[s].squared_norm() * dz[s].squared_norm();

    const double got = recording.layer(layer).gradients.front().sample_squared_sum.value();
    EXPECT_NEAR(got, sum.value(), 1e-14 * sum.value());
  });
}

INSTANTIATE_TEST_SUITE_P(Catalogue, EveryActivation, testing::ValuesIn(activation_names()), row_name);

}  // namespace
}  // namespace gradflow::nn

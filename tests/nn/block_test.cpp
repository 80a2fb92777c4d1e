#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "gradflow/core/random.hpp"
#include "gradflow/nn/layer_weights.hpp"
#include "networks.hpp"
#include "recording.hpp"

/// One block of every kind against plain float64 loops and their finite differences.
namespace gradflow::nn {
namespace {

using Table = std::vector<std::vector<double>>;  ///< [row][column]

constexpr int samples = 6, width = 5;

struct Kind {
  std::string block;
  NormalizationKind normalization = NormalizationKind::none;
  NormalizationPosition position = NormalizationPosition::before;
  int branch_layers = 1;
  int layer = 2;
};

void PrintTo(const Kind& kind, std::ostream* out) {
  *out << kind.block << " normalization " << int(kind.normalization) << " position " << int(kind.position)
       << " layers " << kind.branch_layers;
}

NetworkSpec spec_of(const Kind& kind) {
  NetworkSpec spec = with_batch(network(Widths::uniform(3, width), "tanh", 1.3, 0.4), samples);
  spec.block = kind.block;
  spec.normalization = {kind.normalization, kind.position, 0.01, 1.2, 0.3};
  spec.residual = {0.7, 0.9, kind.branch_layers};
  spec.transform_bias = -0.6;
  return spec;
}

/// W and b of one matrix of the block in float64.
struct Weights {
  Table w;
  std::vector<double> b;
};

Weights weights_of(const NetworkSpec& spec, int layer, WeightRole role) {
  const auto z = unit_weights<double>(*spec.init.scheme, spec.seed, layer, width, width, role);
  const auto bias = unit_bias<double>(*spec.init.scheme, spec.seed, layer, width, role);
  const double scale = spec.init.weight_scale(width, width), sigma_b = spec.init.effective_sigma_b(width);
  Weights weights{Table(width, std::vector<double>(width)), std::vector<double>(width)};
  for (int i = 0; i < width; ++i) {
    for (int j = 0; j < width; ++j) weights.w[i][j] = scale * z(i, j);
    weights.b[i] = sigma_b * bias(0, i);
  }
  return weights;
}

Table affine(const Weights& weights, const Table& x) {
  Table z = x;
  for (std::size_t s = 0; s < x.size(); ++s) {
    for (int i = 0; i < width; ++i) {
      z[s][i] = weights.b[i];
      for (int j = 0; j < width; ++j) z[s][i] += weights.w[i][j] * x[s][j];
    }
  }
  return z;
}

Table each(const Table& x, const std::function<double(double)>& f) {
  Table y = x;
  for (auto& row : y) {
    for (double& v : row) v = f(v);
  }
  return y;
}

Table transposed(const Table& x) {
  Table t(x.front().size(), std::vector<double>(x.size()));
  for (std::size_t i = 0; i < x.size(); ++i) {
    for (std::size_t j = 0; j < x[i].size(); ++j) t[j][i] = x[i][j];
  }
  return t;
}

/// The scale and shift of every unit of a block's normalisations, which a sweep sets alike.
struct Learned {
  explicit Learned(const Normalization& n)
      : scale(2, std::vector<double>(width, n.scale)), shift(2, std::vector<double>(width, n.shift)) {}

  Table scale, shift;    ///< [normalisation][unit]
  std::size_t next = 0;  ///< normalisation
};

/// Every row over its own elements, without scale and shift.
Table normalised_rows(const Normalization& n, const Table& z) {
  Table out = z;
  for (auto& row : out) {
    double mean = 0, square = 0;
    for (const double v : row) mean += v / double(row.size());
    if (n.kind == NormalizationKind::rms) mean = 0;
    for (const double v : row) square += (v - mean) * (v - mean) / double(row.size());
    for (double& v : row) v = (v - mean) / std::sqrt(square + n.epsilon);
  }
  return out;
}

Table normalised(const NetworkSpec& spec, const Table& z, Learned& learned) {
  const Normalization& n = spec.normalization;
  if (n.kind == NormalizationKind::none) return z;
  Table out = n.kind == NormalizationKind::batch ? transposed(normalised_rows(n, transposed(z)))
                                                 : normalised_rows(n, z);
  const std::size_t which = learned.next++;
  for (auto& row : out) {
    for (std::size_t j = 0; j < row.size(); ++j) {
      row[j] = learned.scale[which][j] * row[j] + learned.shift[which][j];
    }
  }
  return out;
}

Table normalised_at(NormalizationPosition where, const NetworkSpec& spec, const Table& z, Learned& learned) {
  return spec.normalization.position == where ? normalised(spec, z, learned) : z;
}

Table activated(const NetworkSpec& spec, const Table& z, Learned& learned) {
  using enum NormalizationPosition;
  const Table h = each(normalised_at(before, spec, z, learned), [](double v) { return std::tanh(v); });
  return normalised_at(after, spec, h, learned);
}

Table combined(const Table& a, double ca, const Table& b, double cb) {
  Table sum = a;
  for (std::size_t s = 0; s < a.size(); ++s) {
    for (std::size_t j = 0; j < a[s].size(); ++j) sum[s][j] = ca * a[s][j] + cb * b[s][j];
  }
  return sum;
}

Table highway(const NetworkSpec& spec, const Table& x, const Weights& first, const Weights& gate) {
  const Table h = each(affine(first, x), [](double v) { return std::tanh(v); });
  const Table t =
      each(affine(gate, x), [&](double u) { return 1 / (1 + std::exp(-u - spec.transform_bias)); });
  Table y = x;
  for (std::size_t s = 0; s < x.size(); ++s) {
    for (int j = 0; j < width; ++j) y[s][j] = t[s][j] * h[s][j] + (1 - t[s][j]) * x[s][j];
  }
  return y;
}

/// The block as its definition reads.
Table plain(const NetworkSpec& spec, const Table& x, const Weights& first, const Weights& other,
            Learned& learned) {
  using enum NormalizationPosition;
  learned.next = 0;
  if (spec.block == "dense") return activated(spec, affine(first, x), learned);
  if (spec.block == "highway") return highway(spec, x, first, other);
  Table f = normalised_at(pre, spec, x, learned);
  if (spec.block == "residual") f = affine(other, activated(spec, affine(first, f), learned));
  for (int i = 0; i < spec.residual.branch_layers; ++i) {
    const Weights& weights = i == 0 ? first : other;
    if (spec.block == "preact_residual") f = affine(weights, activated(spec, f, learned));
    if (spec.block == "postact_residual") f = activated(spec, affine(weights, f), learned);
  }
  return normalised_at(post, spec, combined(x, spec.residual.skip, f, spec.residual.branch), learned);
}

Signal<double> signal_of(const Table& x) {
  Signal<double> signal(padded_rows(samples), width);
  for (int s = 0; s < samples; ++s) std::ranges::copy(x[s], signal.values.row(s).begin());
  return signal;
}

Table table_of(const Signal<double>& signal) {
  Table x(samples, std::vector<double>(width));
  for (int s = 0; s < samples; ++s) {
    for (int j = 0; j < width; ++j) x[s][j] = std::ldexp(signal.values(s, j), signal.exponents[s]);
  }
  return x;
}

Table random_table(Purpose purpose) {
  Table x(samples, std::vector<double>(width));
  for (int s = 0; s < samples; ++s) fill_normal<double>({5, purpose, 0}, std::uint32_t(s), std::span(x[s]));
  return x;
}

State<double> state_of(const Table& x) {
  State<double> state;
  state.push_back(signal_of(x));
  return state;
}

double inner(const Table& a, const Table& b) {
  double sum = 0;
  for (std::size_t s = 0; s < a.size(); ++s) {
    for (std::size_t j = 0; j < a[s].size(); ++j) sum += a[s][j] * b[s][j];
  }
  return sum;
}

double norm(const Table& a) { return std::sqrt(inner(a, a)); }

/// dE/dv of every number in `values` by central differences. Truncation is of the order step^2, rounding of
/// 1e-16/step: both near 1e-10 of E.
Table differences(Table& values, const std::function<double()>& energy) {
  constexpr double step = 1e-5;
  Table gradient = values;
  for (std::size_t i = 0; i < values.size(); ++i) {
    for (std::size_t j = 0; j < values[i].size(); ++j) {
      const double kept = values[i][j];
      values[i][j] = kept + step;
      const double above = energy();
      values[i][j] = kept - step;
      gradient[i][j] = (above - energy()) / (2 * step);
      values[i][j] = kept;
    }
  }
  return gradient;
}

class EveryBlock : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    const bool has_gate = spec.block == "highway";
    other = weights_of(spec, GetParam().layer, has_gate ? WeightRole::transform : WeightRole::second);
    tape.clear();
    Recorder<double> recorder(recording, 1);
    y = table_of(block->forward(state_of(x), stack, tape, recorder, failures).front());
    gradient = block->weight_gradient();
    dx = table_of(
        block->backward(state_of(c), Entry::output, stack, tape, recorder, *gradient, failures).front());
  }

  double energy() { return inner(c, plain(spec, x, first, other, learned)); }

  double measured_norm(WeightRole role) const {
    return std::sqrt(gradient->norms(role).front().weight_gradient_squared.value()) * samples;
  }
  double measured_bias_norm(WeightRole role) const {
    return std::sqrt(gradient->norms(role).front().bias_gradient_squared.value()) * samples;
  }

  NetworkSpec spec = spec_of(GetParam());
  Bundle bundle{spec};
  Stack stack = microbatch_rows(bundle, 0, 1);
  std::unique_ptr<Block<double>> block = make_block<double>(bundle, GetParam().layer);
  Weights first = weights_of(spec, GetParam().layer, WeightRole::first);
  Weights other;
  Learned learned{spec.normalization};
  Table x = random_table(Purpose::data), c = random_table(Purpose::cotangent);
  Tape<double> tape;
  LayerRecording recording;
  Failures failures = Failures(1);
  std::unique_ptr<WeightGradient<double>> gradient;
  Table y, dx;
};

TEST_P(EveryBlock, ComputesItsDefinition) {
  const Table expected = plain(spec, x, first, other, learned);

  // Sums of a few numbers of order 1 in float64.
  EXPECT_LT(norm(combined(y, 1, expected, -1)), 1e-13 * norm(expected));
  EXPECT_FALSE(failures.front());
  EXPECT_TRUE(tape.empty()) << "every signal of the tape is used";
}

TEST_P(EveryBlock, HasTheInputGradientOfFiniteDifferences) {
  const Table expected = differences(x, [&] { return energy(); });

  EXPECT_LT(norm(combined(dx, 1, expected, -1)), 1e-6 * norm(expected));
}

TEST_P(EveryBlock, HasTheWeightGradientsOfFiniteDifferences) {
  const BlockParts parts = parts_of(spec);
  for (const WeightRole role : parts.matrices) {
    Weights& weights = role == WeightRole::first ? first : other;
    const double of_weights = norm(differences(weights.w, [&] { return energy(); }));
    Table bias{weights.b};
    const double of_bias = norm(differences(bias, [&] {
      weights.b = bias.front();
      return energy();
    }));
    weights.b = bias.front();

    EXPECT_NEAR(measured_norm(role), of_weights, 1e-6 * of_weights);
    // A bias in front of batch normalisation has no effect; its gradient is rounding, and known to be.
    EXPECT_NEAR(measured_bias_norm(role), of_bias, 1e-6 * (of_bias + of_weights));
    const bool vanishes = measured_bias_norm(role) < 1e-12 * of_weights;
    EXPECT_EQ(bias_is_cancelled(spec, GetParam().layer, role), vanishes) << int(role);
  }
}

TEST_P(EveryBlock, HasTheGradientsOfScaleAndShiftOfFiniteDifferences) {
  const std::vector<NormalizationNorms> norms = gradient->normalization_norms();
  ASSERT_EQ(!norms.empty(), parts_of(spec).normalises);
  if (norms.empty()) return;

  const double of_scale = norm(differences(learned.scale, [&] { return energy(); }));
  const double of_shift = norm(differences(learned.shift, [&] { return energy(); }));

  EXPECT_NEAR(std::sqrt(norms.front().scale_gradient_squared.value()) * samples, of_scale, 1e-6 * of_scale);
  EXPECT_NEAR(std::sqrt(norms.front().shift_gradient_squared.value()) * samples, of_shift, 1e-6 * of_shift);
}

TEST_P(EveryBlock, TapesAsManySignalsAsItSays) {
  Recorder<double> recorder(recording, 1);

  block->forward(state_of(x), stack, tape, recorder, failures);

  EXPECT_EQ(int(tape.size()), block_of(spec).taped_signals(spec));
}

std::vector<Kind> every_kind() {
  using enum NormalizationKind;
  using enum NormalizationPosition;
  std::vector<Kind> kinds{{"dense"}, {"residual"}, {"highway"}};
  for (const int layers : {1, 2}) {
    kinds.push_back({"preact_residual", none, before, layers});
    kinds.push_back({"postact_residual", none, before, layers});
  }
  for (const NormalizationKind kind : {batch, layer, rms}) {
    for (const NormalizationPosition position : {before, after}) kinds.push_back({"dense", kind, position});
    for (const NormalizationPosition position : {before, after, pre, post}) {
      kinds.push_back({"residual", kind, position});
      kinds.push_back({"preact_residual", kind, position, 2});
      kinds.push_back({"postact_residual", kind, position, 2});
    }
  }
  return kinds;
}

INSTANTIATE_TEST_SUITE_P(Catalogue, EveryBlock, testing::ValuesIn(every_kind()));

TEST(BlockCatalogue, IsCoveredByTheseTests) {
  for (const BlockRow& row : blocks()) {
    if (row.steps_in_time) continue;  // in chains of steps: recurrent_test.cpp
    const std::vector<Kind> kinds = every_kind();
    EXPECT_TRUE(std::ranges::any_of(kinds, [&](const Kind& kind) { return kind.block == row.name; }))
        << row.name;
  }
}

/// One number of every sample, in units of the first one's power of two.
std::vector<double> of_unit(const Samples& rows, std::size_t j) {
  std::vector<double> values;
  for (const Row& row : rows)
    values.push_back(std::ldexp(row.values[j], int(row.exponent - rows.front().exponent)));
  return values;
}

/// A sum and what its terms are in all: rounding is relative to that.
struct Sum {
  double value = 0, of_magnitudes = 0;

  void add(double term) {
    value += term;
    of_magnitudes += std::abs(term);
  }
};

void expect_zero(const Sum& sum) { EXPECT_LT(std::abs(sum.value), 1e-13 * sum.of_magnitudes); }

/// (z - mean) / deviation over the batch.
std::vector<double> standardised(std::vector<double> z) {
  double mean = 0, variance = 0;
  for (const double v : z) mean += v / double(z.size());
  for (const double v : z) variance += (v - mean) * (v - mean) / double(z.size());
  for (double& v : z) v = (v - mean) / std::sqrt(variance);
  return z;
}

/// A batch norm network without epsilon, below the layer where the cotangent is injected.
class BatchNormIdentities : public testing::TestWithParam<double> {
 protected:
  static constexpr int units = 20;

  static NetworkSpec normalised(double sigma_w) {
    NetworkSpec spec = with_batch(network(Widths::uniform(4, units), "tanh", sigma_w), 16);
    spec.normalization = {NormalizationKind::batch, NormalizationPosition::before, 0, 1, 0};
    return spec;
  }

  NetworkSpec spec = normalised(GetParam());
  Recording recording = record<double>({spec});
};

TEST_P(BatchNormIdentities, SumsOverTheBatchVanishAtEverySize) {
  for (int l = 1; l < 4; ++l) {
    for (std::size_t j = 0; j < units; ++j) {
      const std::vector<double> dz = of_unit(recording.layer(l).dgrad.front(), j);
      const std::vector<double> z = standardised(of_unit(recording.layer(l).preact.front(), j));
      Sum alone, along;
      for (std::size_t s = 0; s < dz.size(); ++s) {
        alone.add(dz[s]);
        along.add(z[s] * dz[s]);
      }
      expect_zero(alone);
      expect_zero(along);
    }
  }
}

// What batch norm takes away, the size of the weights, has no gradient: <w_i, dE/dw_i> = 0 of every unit.
TEST_P(BatchNormIdentities, EveryUnitsWeightsAreAtRightAnglesToTheirGradient) {
  for (int l = 1; l < 4; ++l) {
    const auto w = unit_weights<double>(*spec.init.scheme, spec.seed, l, units, units);
    const Samples& h = l == 1 ? recording.input.front() : recording.layer(l - 1).act.front();
    for (int i = 0; i < units; ++i) {
      const std::vector<double> dz = of_unit(recording.layer(l).dgrad.front(), std::size_t(i));
      Sum inner;
      for (std::size_t s = 0; s < dz.size(); ++s) {
        for (int j = 0; j < units; ++j) inner.add(w(i, j) * dz[s] * h[s][std::size_t(j)]);
      }
      expect_zero(inner);
    }
  }
}

// Without epsilon the size of the weights does not matter, far outside the range of doubles neither.
INSTANTIATE_TEST_SUITE_P(Sizes, BatchNormIdentities, testing::Values(1.0, 1e-300, 1e300));

/// |dE/dW| of one batch-normalised layer between given signals.
double gradient_norm_with(double sigma_w) {
  NetworkSpec spec = spec_of({"dense", NormalizationKind::batch});
  spec.normalization.epsilon = 0;
  spec.init = Initialisation::make("gaussian", sigma_w);
  const Bundle bundle{spec};
  const Stack stack = microbatch_rows(bundle, 0, 1);
  const auto block = make_block<double>(bundle, 2);
  const std::unique_ptr<WeightGradient<double>> gradient = block->weight_gradient();
  Tape<double> tape;
  LayerRecording recording;
  Recorder<double> recorder(recording, 1);
  Failures failures(1);
  block->forward(state_of(random_table(Purpose::data)), stack, tape, recorder, failures);
  block->backward(state_of(random_table(Purpose::cotangent)), Entry::output, stack, tape, recorder, *gradient,
                  failures);
  return std::sqrt(gradient->norms(WeightRole::first).front().weight_gradient_squared.value());
}

TEST(BatchNorm, DividesTheGradientOfItsWeightsByTheirScale) {
  const double once = gradient_norm_with(1);

  // A few roundings of numbers of order 1.
  EXPECT_NEAR(gradient_norm_with(3) * 3 / once, 1, 1e-14);
  EXPECT_NEAR(gradient_norm_with(1e-8) * 1e-8 / once, 1, 1e-14);
}

TEST(Normalisation, OfAConstantIsItsShiftAndHasNoGradient) {
  for (const NormalizationKind kind : {NormalizationKind::batch, NormalizationKind::layer}) {
    NetworkSpec spec = with_batch(network(Widths::uniform(2, 4), "linear", 0), 3);
    spec.normalization = {kind, NormalizationPosition::before, 0, 1, 0.25};

    const Recording recording = record<float>({spec});

    for (const Row& row : recording.layer(1).act.front()) {
      for (std::size_t j = 0; j < 4; ++j) EXPECT_EQ(row[j], 0.25);
    }
    for (const Row& row : recording.layer(1).dgrad.front()) EXPECT_TRUE(row.is_zero());
  }
}

TEST(Residual, WithoutABranchLeavesEveryGradientAsItIs) {
  NetworkSpec spec = with_batch(network(Widths::uniform(30, 8), "relu", 1.5), 5);
  spec.block = "preact_residual";
  spec.residual.branch = 0;

  const Recording recording = record<float>({spec});

  for (int l = 1; l <= 30; ++l) {
    for (std::size_t s = 0; s < 5; ++s) {
      EXPECT_EQ(recording.layer(l).dgrad.front()[s].values, recording.layer(30).dgrad.front()[s].values);
    }
  }
}

/// Growth of a stream to depth 10,000 has no break: blocks whose signal doubles and more.
TEST(Residual, GrowsWithoutABreakFarOutsideTheRangeOfFloats) {
  NetworkSpec spec = with_batch(network(Widths::uniform(2000, 8), "linear", 4), 1);
  spec.block = "preact_residual";

  const Recording recording = record<float>({spec});

  EXPECT_FALSE(recording.failures.front());
  double last = recording.layer(1).act.front()[0].log10_norm();
  for (int l = 2; l <= 2000; ++l) {
    const double now = recording.layer(l).act.front()[0].log10_norm();
    EXPECT_LT(std::abs(now - last), 3) << "layer " << l;
    last = now;
  }
  EXPECT_GT(last, 500);  // 1 + 16 per block in the mean of squares, somewhat less for the typical norm
}

}  // namespace
}  // namespace gradflow::nn

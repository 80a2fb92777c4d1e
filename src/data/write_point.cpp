#include "write_point.hpp"

#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <string_view>

#include <fmt/format.h>

#include "gradflow/core/errors.hpp"
#include "gradflow/hdf5/attribute.hpp"
#include "gradflow/hdf5/group.hpp"
#include "gradflow/nn/block.hpp"
#include "gradflow/nn/data.hpp"
#include "gradflow/nn/loss.hpp"
#include "gradflow/nn/recurrent.hpp"

namespace gradflow::data {
namespace {

std::string_view name_of(nn::NormalizationPosition position) {
  constexpr std::array<std::string_view, 4> names{"before", "after", "pre", "post"};
  return names[std::size_t(position)];
}

/// Samples of a signal, exponents applied, [sample][feature].
template <class Real>
std::vector<double> values_of(const Signal<Real>& signal, int samples, double sign = 1) {
  std::vector<double> values;
  for (int sample = 0; sample < samples; ++sample) {
    for (const Real x : signal.values.row(sample).first(std::size_t(signal.width))) {
      values.push_back(sign * std::ldexp(double(x), signal.exponents[std::size_t(sample)]));
    }
  }
  return values;
}

void write_normalization(hid_t root, const nn::NetworkSpec& network) {
  const nn::Normalization& n = network.normalization;
  for (const nn::NormalizationRow& row : nn::normalizations()) {
    if (row.kind == n.kind) hdf5::write_attribute(root, "normalization", std::string(row.name));
  }
  if (n.kind == nn::NormalizationKind::none) return;
  hdf5::write_attribute(root, "normalization_position", std::string(name_of(n.position)));
  hdf5::write_attribute(root, "normalization_epsilon", n.epsilon);
  hdf5::write_attribute(root, "normalization_scale", n.scale);
  hdf5::write_attribute(root, "normalization_shift", n.shift);
}

/// What the keys of a sweep say of the network.
void write_description(hid_t root, const nn::NetworkSpec& network) {
  hdf5::write_attribute(root, "block", network.block);
  hdf5::write_attribute(root, "depth", std::int64_t(network.depth()));
  hdf5::write_attribute(root, "activation", std::string(network.activation.name()));
  hdf5::write_attribute(root, "activation_parameter", network.activation.parameter());
  write_normalization(root, network);
  hdf5::write_attribute(root, "branch_scale", network.residual.branch);
  hdf5::write_attribute(root, "skip_scale", network.residual.skip);
  hdf5::write_attribute(root, "branch_layers", std::int64_t(network.residual.branch_layers));
  hdf5::write_attribute(root, "transform_bias", network.transform_bias);
  hdf5::write_attribute(root, "leak", network.recurrence.leak);
  hdf5::write_attribute(root, "stack", std::int64_t(network.recurrence.stack));
  const std::vector<std::string> gates = nn::gate_names(network);
  if (!gates.empty()) hdf5::write_attribute(root, "gates", gates);
  hdf5::write_attribute(root, "loss", network.backward.loss);
  hdf5::write_attribute(
      root, "cotangent_enters",
      std::string(nn::entry_of(network) == nn::Entry::preactivation ? "preactivation" : "output"));
}

template <class Real>
void write_step_inputs(const hdf5::File& file, const nn::NetworkSpec& network) {
  const bool is_fed = network.recurrence.input == nn::StepInput::data;
  const int width = is_fed ? network.recurrence.input_width : network.widths[0];
  const auto samples = is_fed ? nn::samples_of({network}).front() : nullptr;
  std::vector<double> values;
  std::vector<Real> x(std::size_t(width), Real(0));
  for (int step = 1; step <= network.steps(); ++step) {
    for (int sample = 0; sample < network.batch; ++sample) {
      if (is_fed) {
        const auto piece = samples->row(sample).subspan(std::size_t((step - 1) * width), std::size_t(width));
        values.insert(values.end(), piece.begin(), piece.end());
        continue;
      }
      nn::fill_step_input<Real>(network.seed, step, sample, std::span<Real>(x));
      values.insert(values.end(), x.begin(), x.end());
    }
  }
  write_numbers(file, "data/step_input", {hsize_t(network.steps()), hsize_t(network.batch), hsize_t(width)},
                values);
}

/// What the loss makes of a last signal of zeros: the cotangent where it depends on nothing, -y for mse.
template <class Real>
std::vector<double> cotangent_of_zeros(const nn::NetworkSpec& network, double sign) {
  const nn::Bundle alone{network};
  const Stack stack = nn::microbatch_rows(alone, 0, 1);
  State<Real> zeros;
  zeros.push_back(Signal<Real>(rows_of(stack), network.widths[network.depth()]));
  nn::Failures failures(1);
  return values_of(nn::cotangent(alone, std::move(zeros), stack, failures).front(), network.batch, sign);
}

template <class Real>
void write_loss(const hdf5::File& file, const nn::NetworkSpec& network) {
  const std::string& loss = network.backward.loss;
  const hdf5::Shape shape{hsize_t(network.batch), hsize_t(network.widths[network.depth()])};
  if (loss == "random" || loss == "one_hot") {
    write_numbers(file, "data/cotangent", shape, cotangent_of_zeros<Real>(network, 1));
  } else if (loss == "mse") {
    write_numbers(file, "data/target", shape, cotangent_of_zeros<Real>(network, -1));
  } else if (loss == "cross_entropy") {
    const std::vector<int> labels = nn::labels(network, 0, network.batch);
    write_numbers(file, "data/label", {hsize_t(network.batch)}, {labels.begin(), labels.end()});
  }
}

}  // namespace

void write_numbers(const hdf5::File& file, const std::string& name, const hdf5::Shape& shape,
                   const std::vector<double>& values) {
  hdf5::Dataset dataset = hdf5::Dataset::create<double>(file, name, shape, hdf5::Space::unfilled);
  dataset.write<double>(hdf5::whole(shape), values);
  dataset.close();
}

template <class Real>
void write_point(const hdf5::File& file, const nn::NetworkSpec& network) {
  write_description(file.get(), network);
  hdf5::create_group(file, "data");
  const nn::Bundle alone{network};
  const State<Real> input = nn::input<Real>(alone, nn::microbatch_rows(alone, 0, 1));
  const auto of_a_level = std::size_t(nn::block_of(network).state_signals);  // level 1 stands at the back
  write_numbers(file, "data/input", {hsize_t(network.batch), hsize_t(network.widths[0])},
                values_of(input[input.size() - of_a_level], network.batch));
  if (network.recurrence.input != nn::StepInput::none) write_step_inputs<Real>(file, network);
  if (network.block == "lstm") {
    for (int level = 1; level <= network.recurrence.stack; ++level) {
      const std::vector<double> biases = nn::lstm_gate_biases(network, level);
      write_numbers(file, fmt::format("layer_{}/gate_bias", level), {hsize_t(biases.size())}, biases);
    }
  }
  write_loss<Real>(file, network);
}

template void write_point<float>(const hdf5::File&, const nn::NetworkSpec&);
template void write_point<double>(const hdf5::File&, const nn::NetworkSpec&);

}  // namespace gradflow::data

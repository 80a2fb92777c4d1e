#include "gradflow/nn/layer_weights.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "gradflow/nn/block.hpp"
#include "gradflow/nn/data.hpp"
#include "gradflow/nn/loss.hpp"

namespace gradflow::nn {
namespace {

constexpr std::array every_role{WeightRole::first, WeightRole::second, WeightRole::input,
                                WeightRole::transform};

template <class Real>
void copy_rounded(std::span<const double> from, std::span<Real> to) {
  std::ranges::transform(from, to.begin(), [](double x) { return Real(x); });
}

const StoredWeights& stored_weights(const NetworkSpec& network) {
  expect(network.init.stored != nullptr, "a scheme of stored weights comes with them");
  return *network.init.stored;
}

bool are_stored(const NetworkSpec& network) {
  return network.init.scheme->distribution == Distribution::stored;
}

/// layer_2/second_weight, in a file of gradflow's form.
std::string name_of(int layer, WeightRole role, std::string_view what) {
  return fmt::format("layer_{}/{}{}", layer, prefix_of(role), what);
}

std::string names_of_matrices(const NetworkSpec& network) {
  std::string names;
  for (const WeightRole role : parts_of(network).matrices) names += fmt::format(" {}weight", prefix_of(role));
  return names;
}

std::string complaint_of_matrix(const NetworkSpec& network, int layer, WeightRole role) {
  const StoredWeights& stored = stored_weights(network);
  const MatrixShape shape = shape_of(network, layer, role);
  if (!stored.has(layer, role)) {
    return fmt::format("the file has no {}; the layers of a {} block have:{}", name_of(layer, role, "weight"),
                       network.block, names_of_matrices(network));
  }
  const int fan_in = stored.fan_in(layer, role);
  const int fan_out = stored.fan_out(layer, role);
  if (fan_in != shape.fan_in || fan_out != shape.fan_out) {
    const int gates = role == WeightRole::first || role == WeightRole::input ? gates_of(network) : 1;
    return fmt::format("{} has the shape [{}][{}]; a {} block from {} to {} units has [{}][{}]{}",
                       name_of(layer, role, "weight"), fan_out, fan_in, network.block,
                       network.widths.fan_in(layer), network.widths.fan_out(layer), shape.fan_out,
                       shape.fan_in, gates > 1 ? fmt::format(", {} gates below one another", gates) : "");
  }
  if (!shape.takes_bias && stored.bias_scale(layer, role) > 0) {
    return fmt::format("the file has {}, but that matrix of a {} block has no bias",
                       name_of(layer, role, "bias"), network.block);
  }
  return "";
}

constexpr double not_found = std::numeric_limits<double>::quiet_NaN();

/// Beside what the scheme says of the widths.
double layer_factor(const NetworkSpec& network, int layer, WeightRole role) {
  switch (network.init.scheme->layer_scale) {
    case LayerScale::plain:
      return 1;
    case LayerScale::smaller_output:
      return layer == network.depth() ? 1 / std::sqrt(double(shape_of(network, layer, role).fan_in)) : 1;
    case LayerScale::unit_variance:
      break;
  }
  return network.init.found ? 1 / network.init.found->deviation(layer, role) : not_found;
}

template <class Real>
class Unseen final : public Observer<Real> {
 public:
  void see(Role, const Signal<Real>&, const RowRange&) override {}
  void count_saturated(Role, int, std::int64_t) override {}
  void count_lost(Role, int, std::span<const std::int64_t>) override {}
};

}  // namespace

std::shared_ptr<double> FoundScales::place(int layer, WeightRole role) {
  std::shared_ptr<double>& deviation = deviations_[{layer, role}];
  if (!deviation) deviation = std::make_shared<double>(not_found);
  return deviation;
}

double FoundScales::deviation(int layer, WeightRole role) const {
  const auto found = deviations_.find({layer, role});
  return found == deviations_.end() ? not_found : *found->second;
}

template <class Real>
NetworkSpec with_found_scales(NetworkSpec network) {
  if (!network.init.finds_scales()) return network;
  network.init.found = std::make_shared<FoundScales>();
  const Bundle alone{network};
  const Stack stack = microbatch_rows(alone, 0, 1);
  State<Real> x = input<Real>(alone, stack);
  Unseen<Real> nobody;
  Failures failures(1);
  for (int layer = 1; layer <= network.depth(); ++layer) {
    Tape<Real> tape;
    x = make_block<Real>(alone, layer)->forward(std::move(x), stack, tape, nobody, failures);
  }
  return network;
}

MatrixShape shape_of(const NetworkSpec& network, int layer, WeightRole role) {
  const int fan_in = network.widths.fan_in(layer);
  const int fan_out = gates_of(network) * network.widths.fan_out(layer);
  switch (role) {
    case WeightRole::first:
    case WeightRole::transform:
      return {fan_in, fan_out};
    case WeightRole::second:
      return {network.widths.fan_out(layer), network.widths.fan_out(layer)};
    case WeightRole::input: {
      const Recurrence& recurrence = network.recurrence;
      const bool is_fed = recurrence.input == StepInput::data && network.level_of(layer) == 1;
      return {is_fed ? recurrence.input_width : fan_in, fan_out, false};
    }
  }
  throw BrokenPromise("a role of a matrix");
}

bool bias_is_cancelled(const NetworkSpec& network, int layer, WeightRole role) {
  const Normalization& n = network.normalization;
  if (n.kind != NormalizationKind::batch) return false;
  if (n.position == NormalizationPosition::post && network.block != "postact_residual") {
    return role == parts_of(network).matrices.back();  // the branch ends with it, and only the sum follows
  }
  if (n.position != NormalizationPosition::before) return false;
  if (network.block == "dense") {
    return layer < network.depth() || entry_of(network) == Entry::output;
  }
  // The last matrix of the other branches is followed by the sum; of an activation-last branch by phi.
  return network.block == "postact_residual" ||
         (role == WeightRole::first && parts_of(network).matrices.size() == 2);
}

int weight_layers(const NetworkSpec& network) {
  return block_of(network).steps_in_time ? network.recurrence.stack : network.depth();
}

std::string complaint_of_weights(const NetworkSpec& network) {
  const StoredWeights& stored = stored_weights(network);
  if (network.recurrence.stack > 1) return "is a file, but the weights of stacked levels are only drawn";
  if (stored.layers() != weight_layers(network)) {
    return fmt::format("the file has {} layers, but the network has {}{}", stored.layers(),
                       weight_layers(network),
                       block_of(network).steps_in_time
                           ? ", the weights of every step"
                           : "; leave out network.depth and network.width, and the file sets them");
  }
  const std::vector<WeightRole> wanted = parts_of(network).matrices;
  for (int layer = 1; layer <= stored.layers(); ++layer) {
    for (const WeightRole role : every_role) {
      const bool is_wanted = std::ranges::find(wanted, role) != wanted.end();
      if (!is_wanted && stored.has(layer, role)) {
        return fmt::format("the file has {}, but the layers of a {} block have only:{}",
                           name_of(layer, role, "weight"), network.block, names_of_matrices(network));
      }
      const std::string complaint = is_wanted ? complaint_of_matrix(network, layer, role) : "";
      if (!complaint.empty()) return complaint;
    }
  }
  return "";
}

template <class Real>
Matrix<Real> unit_weights(const NetworkSpec& network, int layer, WeightRole role) {
  const auto [fan_in, fan_out, takes_bias] = shape_of(network, layer, role);
  if (!are_stored(network)) {
    return unit_weights<Real>(*network.init.scheme, network.seed, layer, fan_in, fan_out, role,
                              network.init.nonzeros);
  }
  const Matrix<double> stored = stored_weights(network).unit_weights(layer, role);
  expect(stored.rows() == fan_out && stored.cols() == fan_in, "stored weights fit their layer");
  Matrix<Real> z(padded_width<Real>(fan_out), padded_width<Real>(fan_in));
  for (int i = 0; i < fan_out; ++i) copy_rounded<Real>(stored.row(i), z.row(i));
  return z;
}

template <class Real>
Matrix<Real> unit_bias(const NetworkSpec& network, int layer, WeightRole role) {
  const int fan_out = shape_of(network, layer, role).fan_out;
  if (!are_stored(network)) return unit_bias<Real>(*network.init.scheme, network.seed, layer, fan_out, role);
  const std::vector<double> stored = stored_weights(network).unit_bias(layer, role);
  expect(int(stored.size()) == fan_out, "a stored bias fits its layer");
  Matrix<Real> bias(1, padded_width<Real>(fan_out));
  copy_rounded<Real>(stored, bias.row(0));
  return bias;
}

double weight_scale(const NetworkSpec& network, int layer, WeightRole role) {
  const Initialisation& init = network.init;
  if (are_stored(network)) return init.gain * stored_weights(network).weight_scale(layer, role);
  const MatrixShape shape = shape_of(network, layer, role);
  return layer_factor(network, layer, role) * init.weight_scale(shape.fan_in, shape.fan_out, role);
}

double effective_sigma_w(const NetworkSpec& network, int layer, WeightRole role) {
  const MatrixShape shape = shape_of(network, layer, role);
  const double of_widths = network.init.effective_sigma_w(shape.fan_in, shape.fan_out, role);
  return layer_factor(network, layer, role) * of_widths;
}

double bias_scale(const NetworkSpec& network, int layer, WeightRole role) {
  const MatrixShape shape = shape_of(network, layer, role);
  if (!shape.takes_bias) return 0;
  if (are_stored(network)) return stored_weights(network).bias_scale(layer, role);
  return network.init.effective_sigma_b(shape.fan_in);
}

template NetworkSpec with_found_scales<float>(NetworkSpec);
template NetworkSpec with_found_scales<double>(NetworkSpec);
template Matrix<float> unit_weights(const NetworkSpec&, int, WeightRole);
template Matrix<double> unit_weights(const NetworkSpec&, int, WeightRole);
template Matrix<float> unit_bias(const NetworkSpec&, int, WeightRole);
template Matrix<double> unit_bias(const NetworkSpec&, int, WeightRole);

}  // namespace gradflow::nn

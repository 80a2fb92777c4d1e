#include "gradflow/nn/data.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <numbers>

#include <fmt/format.h>

#include "gradflow/core/catalogue.hpp"
#include "gradflow/core/parallel.hpp"
#include "gradflow/core/random.hpp"
#include "gradflow/nn/block.hpp"
#include "orthonormal_rows.hpp"

namespace gradflow::nn {
namespace {

Stream data_stream(const NetworkSpec& network) { return {network.seed, Purpose::data, 0}; }

SampleFill gaussian_samples(const NetworkSpec& network, int) {
  return [stream = data_stream(network)](int sample, std::span<float> features) {
    fill_normal<float>(stream, std::uint32_t(sample), features);
  };
}

SampleFill zero_samples(const NetworkSpec&, int) {
  return [](int, std::span<float> features) { std::ranges::fill(features, 0.0F); };
}

/// Rows that several fills share.
std::shared_ptr<const Matrix<double>> shared_rows(Matrix<double> rows) {
  return std::make_shared<const Matrix<double>>(std::move(rows));
}

/// a * u + b * v, each feature rounded once.
void write_combination(double a, std::span<const double> u, double b, std::span<const double> v,
                       std::span<float> out) {
  for (std::size_t j = 0; j < out.size(); ++j) out[j] = float(a * u[j] + b * v[j]);
}

/// The orthonormal rows of consecutive normal ones, times sqrt(width): mean square 1.
SampleFill orthogonal_samples(const NetworkSpec& network, int samples) {
  const int width = network.widths[0];
  const auto rows = shared_rows(orthonormal_rows(data_stream(network), 0, samples, width));
  return [rows, size = std::sqrt(double(width))](int sample, std::span<float> features) {
    write_combination(size, rows->row(sample), 0, rows->row(sample), features);
  };
}

/// Samples 2k and 2k + 1 are u and c_0 u + sqrt(1 - c_0^2) v, with u, v the orthonormal rows of a pair of
/// normal ones, times sqrt(width).
SampleFill correlated_samples(const NetworkSpec& network, int) {
  const double c = network.input_correlation;
  return [stream = data_stream(network), c](int sample, std::span<float> features) {
    const int width = int(features.size());
    const double size = std::sqrt(double(width));
    const Matrix<double> pair = orthonormal_rows(stream, sample / 2 * 2, 2, width);
    const bool first = sample % 2 == 0;
    const double along = first ? 1 : c;
    const double across = first ? 0 : std::sqrt((1 - c) * (1 + c));
    write_combination(size * along, pair.row(0), size * across, pair.row(1), features);
  };
}

/// Sample s of B stands at the angle 2 pi s / B of a circle of radius sqrt(width), in a random plane.
/// Poole et al., Exponential expressivity in deep neural networks through transient chaos (NeurIPS 2016).
SampleFill circle_samples(const NetworkSpec& network, int) {
  const int width = network.widths[0];
  const auto plane = shared_rows(orthonormal_rows(data_stream(network), 0, 2, width));
  return [plane, size = std::sqrt(double(width)), batch = network.batch](int sample,
                                                                         std::span<float> features) {
    const double angle = 2 * std::numbers::pi * sample / batch;
    write_combination(size * std::cos(angle), plane->row(0), size * std::sin(angle), plane->row(1), features);
  };
}

/// Sample s of B is t u + offset v with t = range (2s/(B-1) - 1); u and v, at right angles in a random plane,
/// have mean square 1.
/// Balduzzi et al., The shattered gradients problem (ICML 2017).
SampleFill grid_samples(const NetworkSpec& network, int) {
  const int width = network.widths[0];
  const GridLine line = network.grid;
  const auto plane = shared_rows(orthonormal_rows(data_stream(network), 0, line.offset == 0 ? 1 : 2, width));
  return [=, size = std::sqrt(double(width)), steps = double(network.batch - 1)](int sample,
                                                                                 std::span<float> features) {
    const double t = line.range * (2 * sample - steps) / steps;
    const std::span<const double> v = plane->row(plane->rows() - 1);
    write_combination(size * t, plane->row(0), size * line.offset, v, features);
  };
}

SampleFill data_set_samples(const NetworkSpec& network, int samples) {
  expect(network.data_set != nullptr, "a source that reads files has its data set");
  return
      [data = network.data_set, chosen = selected_samples(network.seed, samples, network.data_set->size())](
          int sample, std::span<float> features) { data->copy(chosen[std::size_t(sample)], features); };
}

constexpr std::array correlated_parameters{DataParameter{"c_0", 0.5}};
constexpr std::array grid_parameters{DataParameter{"range", 2.0}, DataParameter{"offset", 0.0}};
constexpr std::array idx_parameters{DataParameter{"images", ""}, DataParameter{"labels", ""},
                                    DataParameter{"standardize", "none"}};
constexpr std::array cifar_parameters{DataParameter{"path", ""}, DataParameter{"standardize", "none"}};
constexpr std::array hdf5_parameters{DataParameter{"path", ""}, DataParameter{"dataset", ""},
                                     DataParameter{"labels", ""}, DataParameter{"standardize", "none"}};

constexpr std::array catalogue{
    DataRow{"gaussian", gaussian_samples, {}, false, "independent N(0, 1) features"},
    DataRow{"orthogonal",
            orthogonal_samples,
            {},
            false,
            "samples at right angles to each other, mean square 1; batch at most width"},
    DataRow{"correlated", correlated_samples, correlated_parameters, false,
            "samples 2k and 2k + 1 have mean square 1 and the cosine c_0, exactly; pairs are independent"},
    DataRow{"circle",
            circle_samples,
            {},
            false,
            "a circle in a random plane, one sample every 360/batch degrees, mean square 1"},
    DataRow{"grid", grid_samples, grid_parameters, false,
            "a line t u + offset v from t = -range to range in equal steps, u, v of mean square 1 at right "
            "angles; neighbours are compared by dgrad_lag_corr with backward.shared = true"},
    DataRow{"zero", zero_samples, {}, false, "zeros: what biases alone do"},
    DataRow{"idx", data_set_samples, idx_parameters, true,
            "an IDX file (MNIST), plain or gzip; bytes / 255; images and labels are paths"},
    DataRow{"cifar10", data_set_samples, cifar_parameters, true,
            "a file of CIFAR-10's binary version, labels included; bytes / 255"},
    DataRow{"hdf5", data_set_samples, hdf5_parameters, true,
            "an HDF5 dataset [sample][...] of numbers, and one [sample] of labels"},
};

const DataRow& source_of(const NetworkSpec& network) {
  return find(data_sources(), "data source", network.data);
}

std::string complaint_of_grid(const NetworkSpec& network) {
  if (network.batch < 2) return "a grid has two ends, but data.batch = 1; expected at least 2";
  if (!(network.grid.range > 0)) {
    return fmt::format("the grid's range = {} is no length; expected more than 0", network.grid.range);
  }
  if (network.grid.offset != 0 && network.widths[0] < 2) {
    return fmt::format("the grid's offset = {} needs two features, but the input width is 1",
                       network.grid.offset);
  }
  return "";
}

/// Whether two points of a bundle, which share seed and widths, are fed alike.
bool same_data(const NetworkSpec& a, const NetworkSpec& b) {
  return a.data == b.data && a.batch == b.batch && a.input_correlation == b.input_correlation &&
         a.grid == b.grid && a.data_set == b.data_set;
}

/// Calls body(range, sample, row) for every sample of a range, in parallel over tiles.
template <class Body>
void for_each_sample(const RowRange& range, Body body) {
  parallel_for(range.rows() / tile_rows, [&](int tile) {
    const int end = std::min(range.samples, (tile + 1) * tile_rows);
    for (int i = tile * tile_rows; i < end; ++i) body(range.first_sample + i, range.first_row + i);
  });
}

template <class Real>
void write_sample(const SampleFill& fill, int sample, std::size_t width, std::span<Real> row) {
  if constexpr (std::is_same_v<Real, float>) {
    fill(sample, row.first(width));
  } else {
    std::vector<float> features(width);
    fill(sample, features);
    std::ranges::copy(features, row.begin());
  }
}

}  // namespace

std::span<const DataRow> data_sources() { return catalogue; }

std::string complaint_of_data(const NetworkSpec& network) {
  const int width = network.widths[0];
  if (network.data == "orthogonal" && network.batch > width) {
    return fmt::format("{} orthogonal samples do not fit into {} features; expected data.batch of at most {}",
                       network.batch, width, width);
  }
  if ((network.data == "circle" || network.data == "correlated") && width < 2) {
    return fmt::format("source \"{}\" needs two features, but the input width is 1", network.data);
  }
  if (network.data == "correlated" && !(std::abs(network.input_correlation) <= 1)) {
    return fmt::format("c_0 = {} is no cosine; expected a number from -1 to 1", network.input_correlation);
  }
  if (network.data == "grid") return complaint_of_grid(network);
  if (network.data_set && network.batch > network.data_set->size()) {
    return fmt::format("the data has {} samples, but data.batch = {}; expected at most {}",
                       network.data_set->size(), network.batch, network.data_set->size());
  }
  return "";
}

template <class Real>
State<Real> input(const Bundle& bundle, const Stack& stack) {
  const int width = bundle.front().widths[0];
  Signal<Real> signal(rows_of(stack), width);
  SampleFill fill;
  int filled_like = -1;  // the point whose fill it is
  int filled_up_to = 0;
  for (const RowRange& range : stack) {
    const NetworkSpec& point = bundle[std::size_t(range.point)];
    const int end = range.first_sample + range.samples;
    if (filled_like < 0 || end > filled_up_to || !same_data(bundle[std::size_t(filled_like)], point)) {
      fill = source_of(point).samples_of(point, end);
      filled_like = range.point;
      filled_up_to = end;
    }
    for_each_sample(range, [&](int sample, int row) {
      write_sample<Real>(fill, sample, std::size_t(width), signal.values.row(row));
    });
  }
  State<Real> state;
  state.push_back(std::move(signal));
  for (std::size_t i = 1; i < state_widths(bundle.front(), 0).size(); ++i) {
    state.push_back(Signal<Real>(state.front().rows(), state.front().width));
  }
  return state;
}

std::vector<int> labels(const NetworkSpec& network, int first, int count) {
  std::vector<int> classes;
  const bool given = network.data_set && network.data_set->has_labels();
  std::vector<std::int64_t> chosen;
  if (given) chosen = selected_samples(network.seed, first + count, network.data_set->size());
  for (int sample = first; sample < first + count; ++sample) {
    if (given) {
      classes.push_back(network.data_set->label(chosen[std::size_t(sample)]));
      continue;
    }
    std::array<std::uint32_t, 1> bits{};
    fill_bits({network.seed, Purpose::label, 0}, std::uint32_t(sample), bits);
    classes.push_back(int(std::uint64_t(bits[0]) * std::uint64_t(network.widths[network.depth()]) >> 32));
  }
  return classes;
}

template State<float> input(const Bundle&, const Stack&);
template State<double> input(const Bundle&, const Stack&);

}  // namespace gradflow::nn

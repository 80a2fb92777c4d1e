#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "gradflow/core/blas.hpp"
#include "gradflow/core/errors.hpp"
#include "gradflow/core/parallel.hpp"
#include "gradflow/experiment/network.hpp"
#include "gradflow/experiment/row.hpp"
#include "gradflow/experiment/schema.hpp"
#include "gradflow/nn/data.hpp"
#include "gradflow/nn/loss.hpp"

/// A sweep measured in this process: the rows the program would store, without a file and without MPI.
namespace gradflow::experiment {

/// One measured point with all layers stored. Layer l stands at index l - 1 of a column.
class MeasuredPoint {
 public:
  MeasuredPoint(nn::NetworkSpec network, stats::PointTable table)
      : network_(std::move(network)), table_(std::move(table)) {}

  const nn::NetworkSpec& network() const { return network_; }

  /// A variable of the result file, by its name. @param index  along its extra dimension
  std::vector<double> column(std::string_view name, int index = 0) const {
    const stats::Columns& columns = table_.columns();
    const auto found = std::ranges::find(columns, name, &stats::Column::name);
    expect(found != columns.end(), "the preset of the sweep has this column");
    std::vector<double> values;
    for (std::size_t i = std::size_t(index); i < values_of(found).size(); i += std::size_t(found->extent)) {
      values.push_back(values_of(found)[i]);
    }
    return values;
  }

 private:
  std::span<const double> values_of(stats::Columns::const_iterator column) const {
    return table_.values(int(column - table_.columns().begin()));
  }

  nn::NetworkSpec network_;
  stats::PointTable table_;
};

/// Forward and backward through one stage that holds the whole network, the batch in one piece.
template <class Real>
pipeline::PointResult forward_and_backward(const nn::NetworkSpec& network,
                                           const pipeline::Observation& observation) {
  const nn::Bundle bundle{network};
  pipeline::Stage<Real> stage(bundle, {0, network.depth()}, 1, observation, [] {});
  const Stack stack = stage.rows(0);
  stage.backward(0, stage.forward(0, nn::input<Real>(bundle, stack)));
  return std::move(std::move(stage).results().front());
}

inline MeasuredPoint measure(const sweep::SweepPoint& point, const Row& row, const Prediction& prediction) {
  const nn::NetworkSpec network = network_of(point);
  const pipeline::Observation observation = row.observation({network});
  pipeline::PointResult result = precision_of(point) == Precision::float64
                                     ? forward_and_backward<double>(network, observation)
                                     : forward_and_backward<float>(network, observation);
  expect(result.failure.code == FailureCode::none, "the point could be measured");
  return {network, row.table(network, std::move(result), prediction, 0)};
}

/// The one set of threads of a test program.
inline Threads& threads() {
  static Threads all(usable_threads());
  return all;
}

/// Measures every point of a sweep file's text, in its order; points run in parallel.
inline std::vector<MeasuredPoint> measure(const std::string& sweep_text) {
  require_thread_safe_blas();
  const sweep::Sweep sweep = sweep::Sweep::parse(sweep_text, "test.toml", sweep_schema());
  const Row row(sweep);
  Predictions predictions;
  std::vector<Prediction> prediction;
  for (std::uint64_t k = 0; k < sweep.size(); ++k)
    prediction.push_back(predictions.of(network_of(sweep.point(k))));

  std::vector<std::optional<MeasuredPoint>> measured(sweep.size());
  threads().run([&] {
    parallel_for(int(sweep.size()), [&](int k) {
      measured[std::size_t(k)] = measure(sweep.point(std::uint64_t(k)), row, prediction[std::size_t(k)]);
    });
  });
  std::vector<MeasuredPoint> points;
  for (std::optional<MeasuredPoint>& point : measured) points.push_back(std::move(*point));
  return points;
}

/// The first point of a sweep, for one without axes.
inline MeasuredPoint measure_one(const std::string& sweep_text) { return measure(sweep_text).front(); }

}  // namespace gradflow::experiment

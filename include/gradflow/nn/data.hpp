#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "gradflow/core/signal.hpp"
#include "gradflow/nn/network.hpp"

namespace gradflow::nn {

/// Writes the features of one sample of a batch, [width]; called for different samples by several threads.
using SampleFill = std::function<void(int sample, std::span<float> features)>;

/// A number or a text that belongs to a data source, with the value it has where a sweep gives none. That
/// value may never change: hashes leave it out.
struct DataParameter {
  std::string_view name;
  std::variant<double, std::string_view> fallback;
};

/// A row of the catalogue of data sources. Every feature is a float32 number, the same in float64 runs.
struct DataRow {
  std::string_view name;
  /// Work that all samples up to `samples` share, done once; then sample by sample.
  SampleFill (*samples_of)(const NetworkSpec&, int samples);
  std::span<const DataParameter> parameters;
  bool reads_files;  ///< the network then has a data set, which sets its input width
  std::string_view doc;
};

std::span<const DataRow> data_sources();

/// What is wrong with a network and its data source: a batch or a width the source cannot serve. Empty if
/// nothing is.
std::string complaint_of_data(const NetworkSpec& network);

/// All samples of each point, [batch][features_of(point)]; points that are fed alike share them.
std::vector<std::shared_ptr<const Matrix<float>>> samples_of(const Bundle& bundle);

/// The network's input h_0 for the rows of `stack`: of stacked levels that of the first, the others begin
/// with 0. 0 for all where the data comes in step by step.
template <class Real>
State<Real> input(const Bundle& bundle, const Stack& stack);

/// The class of samples first, first + 1, ...: from the data set where it has labels, otherwise drawn, each
/// unit of the last layer with equal probability.
std::vector<int> labels(const NetworkSpec& network, int first, int count);

}  // namespace gradflow::nn

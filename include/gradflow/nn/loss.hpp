#pragma once

#include <span>
#include <string_view>

#include "gradflow/nn/block.hpp"

namespace gradflow::nn {

/// A row of the loss catalogue: where the backward pass begins and with what.
struct LossRow {
  std::string_view name;
  Entry entry;
  /// Turns row `sample` of the last signal (the network's output h_L, exponents included) into the cotangent.
  FailureCode (*row_float32)(const NetworkSpec&, int sample, std::span<float> row, std::int32_t& exponent);
  FailureCode (*row_float64)(const NetworkSpec&, int sample, std::span<double> row, std::int32_t& exponent);
  std::string_view doc;
};

std::span<const LossRow> losses();

/// Where the network's loss enters its last block.
Entry entry_of(const NetworkSpec& network);

/// The cotangent that starts the backward pass: dE_s/dz_L or dE_s/dh_L per sample, as the loss's entry says.
/// Nothing enters at the other signals of the state.
/// @param output  the network's last signal; its memory is reused
template <class Real>
State<Real> cotangent(const Bundle& bundle, State<Real> output, const Stack& stack, Failures& failures);

/// A row of the catalogue of data sources.
struct DataRow {
  std::string_view name;
  void (*row_float32)(const NetworkSpec&, int sample, std::span<float> row);
  void (*row_float64)(const NetworkSpec&, int sample, std::span<double> row);
  std::string_view doc;
};

std::span<const DataRow> data_sources();

/// The network's input h_0 for the rows of `stack`; other signals of the state begin as zeros.
template <class Real>
State<Real> input(const Bundle& bundle, const Stack& stack);

}  // namespace gradflow::nn

#pragma once

#include <span>
#include <string_view>

#include "gradflow/nn/block.hpp"

namespace gradflow::nn {

/// The sample a loss is asked about.
struct LossSample {
  const NetworkSpec& network;
  int sample = 0;
  int label = 0;          ///< its class, where the loss asks for it
  bool labelled = false;  ///< whether the data says the class
};

/// Whether a loss is about the class of a sample.
enum class Labels { unused, if_given, wanted };

/// A row of the loss catalogue: where the backward pass begins and with what.
struct LossRow {
  std::string_view name;
  Entry entry;
  bool takes_logits;  ///< E is a function of z_L instead of h_L
  Labels labels;
  /// Turns one sample of the last signal (h_L, or z_L for a loss on logits, exponents included) into the
  /// cotangent. @param row  a whole padded row
  FailureCode (*row_float32)(const LossSample&, std::span<float> row, std::int32_t& exponent);
  FailureCode (*row_float64)(const LossSample&, std::span<double> row, std::int32_t& exponent);
  std::string_view doc;
};

std::span<const LossRow> losses();

/// Where the network's loss enters its last block.
Entry entry_of(const NetworkSpec& network);

/// Whether the network's loss is a function of the last preactivation, so that it wants that instead of the
/// output.
bool takes_logits(const NetworkSpec& network);

/// Whether the network's loss asks its data set for labels.
bool reads_labels(const NetworkSpec& network);

/// What is wrong with a network and its loss: labels beyond the units of the last layer. Reads the labels.
/// Empty if nothing is.
std::string complaint_of_labels(const NetworkSpec& network);

/// The cotangent that starts the backward pass: dE_s/dz_L or dE_s/dh_L per sample, as the loss's entry says.
/// @param last  the network's output, or its last preactivation for a loss on logits; its memory is reused
template <class Real>
State<Real> cotangent(const Bundle& bundle, State<Real> last, const Stack& stack, Failures& failures);

}  // namespace gradflow::nn

#pragma once

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "gradflow/nn/network.hpp"

/// Networks as a test wants to write them.
namespace gradflow::nn {

/// A fully connected network with Gaussian weights, seed 1 and one sample; the rest is set by name.
inline NetworkSpec network(Widths widths, std::string_view activation, double sigma_w, double sigma_b = 0) {
  NetworkSpec spec;
  spec.widths = std::move(widths);
  spec.activation = Activation::named(activation);
  spec.init = Initialisation::make("gaussian", sigma_w, sigma_b);
  spec.seed = 1;
  return spec;
}

inline NetworkSpec with_batch(NetworkSpec spec, int batch) {
  spec.batch = batch;
  return spec;
}

inline NetworkSpec with_loss(NetworkSpec spec, std::string_view loss) {
  spec.backward.loss = loss;
  return spec;
}

/// Names of the catalogue of activations, for tests over all of them.
inline std::vector<std::string_view> activation_names() {
  std::vector<std::string_view> names;
  for (const ActivationRow& row : activations()) names.push_back(row.name);
  return names;
}

inline std::string row_name(const testing::TestParamInfo<std::string_view>& info) {
  return std::string(info.param);
}

}  // namespace gradflow::nn

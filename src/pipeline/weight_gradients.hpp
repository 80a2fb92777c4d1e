#pragma once

#include <utility>
#include <vector>

#include "gradflow/nn/block.hpp"
#include "gradflow/nn/tied_gradient.hpp"

/// Where the factors of a block's weight gradient go, other than into the block's own sum.
namespace gradflow::pipeline {

/// For the layers nobody stores, and for statistics without gradients of weights.
template <class Real>
class NoWeightGradient final : public nn::WeightGradient<Real> {
 public:
  void add(WeightRole, Signal<Real>, Signal<Real>, const Stack&) override {}
  std::vector<nn::WeightGradientNorms> norms(WeightRole) const override { return {}; }
};

/// Adds to the sum over blocks, beside what is kept of one block.
template <class Real>
class AddToSum final : public nn::WeightGradient<Real> {
 public:
  AddToSum(nn::WeightGradient<Real>& of_block, nn::TiedGradient<Real>& sum)
      : of_block_(of_block), sum_(sum) {}

  void add(WeightRole matrix, Signal<Real> input, Signal<Real> product_gradient,
           const Stack& stack) override {
    if (matrix == WeightRole::first) sum_.add(input, product_gradient, stack);
    of_block_.add(matrix, std::move(input), std::move(product_gradient), stack);
  }
  std::vector<nn::WeightGradientNorms> norms(WeightRole matrix) const override {
    return of_block_.norms(matrix);
  }

 private:
  nn::WeightGradient<Real>& of_block_;
  nn::TiedGradient<Real>& sum_;
};

/// Keeps the factors of one microbatch until a weight pass multiplies them.
template <class Real>
class DeferredGradient final : public nn::WeightGradient<Real> {
 public:
  void add(WeightRole matrix, Signal<Real> input, Signal<Real> product_gradient,
           const Stack& stack) override {
    products_.push_back({matrix, std::move(input), std::move(product_gradient), stack});
  }
  void add_normalization(int normalization, std::vector<nn::NormalizationTile> tiles) override {
    normalizations_.emplace_back(normalization, std::move(tiles));
  }
  std::vector<nn::WeightGradientNorms> norms(WeightRole) const override { return {}; }

  /// In the order in which they came.
  void move_to(nn::WeightGradient<Real>& whole) && {
    for (Product& product : products_) {
      whole.add(product.matrix, std::move(product.input), std::move(product.gradient), product.stack);
    }
    for (auto& [normalization, tiles] : normalizations_) {
      whole.add_normalization(normalization, std::move(tiles));
    }
  }

 private:
  struct Product {
    WeightRole matrix;
    Signal<Real> input;
    Signal<Real> gradient;
    Stack stack;
  };

  std::vector<Product> products_;  ///< of the points that go on and of those that end
  std::vector<std::pair<int, std::vector<nn::NormalizationTile>>> normalizations_;
};

}  // namespace gradflow::pipeline

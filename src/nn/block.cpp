#include "gradflow/nn/block.hpp"

#include <array>
#include <type_traits>

#include "gradflow/core/catalogue.hpp"
#include "gradflow/nn/dense.hpp"

namespace gradflow::nn {
namespace {

template <template <class> class Kind, class Real>
std::unique_ptr<Block<Real>> make(const Bundle& bundle, int layer) {
  return std::make_unique<Kind<Real>>(bundle, layer);
}

template <template <class> class Kind>
constexpr BlockRow row(std::string_view name, std::string_view doc) {
  return {name, make<Kind, float>, make<Kind, double>, Kind<float>::parts, doc};
}

constexpr std::array catalogue{
    row<Dense>("dense", "fully connected: z = W h + b, h = phi(z)"),
};

}  // namespace

std::span<const BlockRow> blocks() { return catalogue; }

BlockParts parts_of(const NetworkSpec& network) {
  return find(blocks(), "block", network.block).parts(network);
}

std::vector<int> state_widths(const NetworkSpec& network, int blocks_before) {
  return {network.widths[blocks_before]};
}

template <class Real>
std::unique_ptr<Block<Real>> make_block(const Bundle& bundle, int layer) {
  const BlockRow& row = find(blocks(), "block", bundle.front().block);
  if constexpr (std::is_same_v<Real, float>) {
    return row.make_float32(bundle, layer);
  } else {
    return row.make_float64(bundle, layer);
  }
}

template std::unique_ptr<Block<float>> make_block(const Bundle&, int);
template std::unique_ptr<Block<double>> make_block(const Bundle&, int);

}  // namespace gradflow::nn

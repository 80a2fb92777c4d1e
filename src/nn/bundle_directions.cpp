#include "gradflow/nn/directions.hpp"

namespace gradflow::nn {
namespace {

/// Calls use(directions, row) for the points of the stack that have directions and whose first sample stands
/// in it, in `row`.
template <class Points, class Use>
void for_each_with_first_sample(Points& of_points, const Stack& stack, Use use) {
  for (const RowRange& range : stack) {
    auto& directions = of_points[std::size_t(range.point)];
    if (directions && range.first_sample == 0) use(*directions, range.first_row);
  }
}

}  // namespace

template <class Real>
BundleDirections<Real>::BundleDirections(const Bundle& bundle) {
  for (std::size_t point = 0; point < bundle.size(); ++point) {
    std::optional<Directions<Real>>& directions = of_points_.emplace_back();
    if (bundle[point].jacobian) directions.emplace(bundle[point], int(point));
  }
}

template <class Real>
void BundleDirections<Real>::pass(const Block<Real>& block, int layer, const Stack& stack,
                                  const Tape<Real>& tape, Failures& failures) {
  for_each_with_first_sample(of_points_, stack, [&](Directions<Real>& directions, int row) {
    directions.pass(block, layer, tape, row, failures);
  });
}

template <class Real>
std::optional<JacobianSpectrum> BundleDirections<Real>::spectrum(int point) const {
  const std::optional<Directions<Real>>& directions = of_points_[std::size_t(point)];
  if (!directions) return {};
  return directions->spectrum();
}

template <class Real>
std::vector<double> BundleDirections<Real>::packed(const Stack& stack, int blocks_before) const {
  std::vector<double> numbers;
  for_each_with_first_sample(of_points_, stack, [&](const Directions<Real>& directions, int) {
    const std::vector<double> of_point = directions.packed(blocks_before);
    numbers.insert(numbers.end(), of_point.begin(), of_point.end());
  });
  return numbers;
}

template <class Real>
void BundleDirections<Real>::unpack(const Stack& stack, int blocks_before, std::span<const double> numbers) {
  expect(numbers.size() == packed_size(stack, blocks_before), "the directions of this microbatch");
  for_each_with_first_sample(of_points_, stack, [&](Directions<Real>& directions, int) {
    const std::size_t size = directions.packed_size(blocks_before);
    directions.unpack(blocks_before, numbers.first(size));
    numbers = numbers.subspan(size);
  });
}

template <class Real>
std::size_t BundleDirections<Real>::packed_size(const Stack& stack, int blocks_before) const {
  std::size_t numbers = 0;
  for_each_with_first_sample(of_points_, stack, [&](const Directions<Real>& directions, int) {
    numbers += directions.packed_size(blocks_before);
  });
  return numbers;
}

template class BundleDirections<float>;
template class BundleDirections<double>;

}  // namespace gradflow::nn

#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "gradflow/core/graded_product.hpp"
#include "gradflow/nn/block.hpp"

namespace gradflow::nn {

/// What the Jacobian J of one network and one sample is like.
struct JacobianSpectrum {
  std::vector<double> lyapunov;               ///< mean ln |R_ii| per factor
  std::vector<double> log10_singular_values;  ///< falling, -inf for exact zeros; empty unless all directions
  double log10_frobenius_norm =
      0;  ///< of J; from fewer than all directions an unbiased estimate of its square
  double isometry_variance =
      0;  ///< of the squared singular values over the square of their mean; NaN as above
};

/// Directions of the Jacobian of one point, on their way back through its blocks at its first sample.
///
/// At layer `to` they are the rows of a Haar-distributed orthogonal matrix, a function of the seed. Each is a
/// cotangent: it passes a block by the block's own backward, at the tape of the first sample, and behind
/// every block all of them are made orthonormal again in float64. The lower triangular factors are what J is
/// made of: the logarithms of their diagonals add up to Lyapunov exponents, their GradedProduct has the
/// singular values of J. Benettin, Galgani, Giorgilli & Strelcyn (1980), with rows in place of columns.
///
/// A direction whose image is exactly zero, behind dead units or a narrow layer, is lost for good.
///
/// Everything travels upstream beside the cotangents of the loss, so its bits do not depend on where the
/// network is cut.
template <class Real>
class Directions {
 public:
  /// @param point  index of the network in its bundle @pre network.jacobian
  Directions(const NetworkSpec& network, int point);

  /// Takes the directions through a block, if it lies between `from` and `to`. Call it for every block from
  /// the last to the first.
  /// @param tape  what the block's forward left of a microbatch with the first sample, which stands in `row`
  void pass(const Block<Real>& block, int layer, const Tape<Real>& tape, int row, Failures& failures);

  /// @pre they have passed block `from`
  JacobianSpectrum spectrum() const;

  /// What travels between two blocks, to the last bit; nothing above `to`.
  /// @param blocks_before  in front of the cut
  std::vector<double> packed(int blocks_before) const;
  /// @pre numbers.size() == packed_size(blocks_before)
  void unpack(int blocks_before, std::span<const double> numbers);
  std::size_t packed_size(int blocks_before) const;

 private:
  State<Real> first_rows() const;
  State<Real> through(const Block<Real>& block, int layer, const Tape<Real>& tape, int row,
                      Observer<Real>& observer, Failures& failures) const;
  void make_orthonormal(const State<Real>& rows, int most);

  NetworkSpec network_;
  JacobianRequest request_;
  JacobianSignal signal_;
  int point_;
  State<Real> rows_;              ///< orthonormal; several signals are one vector
  std::vector<double> log_sums_;  ///< of the diagonals, natural, [directions at `to`]
  GradedProduct product_;
};

/// Rows of the identity that a Jacobian begins with: of every direction, where all are asked for.
int first_directions(const NetworkSpec& network);

/// The directions of every point of a bundle that asks for a Jacobian. Of a microbatch only the points matter
/// whose first sample stands in it.
template <class Real>
class BundleDirections {
 public:
  explicit BundleDirections(const Bundle& bundle);

  /// Takes all of them through a block, as Directions::pass().
  /// @param stack     rows of one microbatch, those of points that have the block
  /// @param tape      what the block's forward left of these rows
  /// @param failures  [points of the bundle]
  void pass(const Block<Real>& block, int layer, const Stack& stack, const Tape<Real>& tape,
            Failures& failures);

  /// Empty if the point asked for none. @pre as Directions::spectrum()
  std::optional<JacobianSpectrum> spectrum(int point) const;

  /// What travels beside a microbatch between two blocks: Directions::packed() of one point after the other.
  /// @param stack          rows of the microbatch behind the cut
  /// @param blocks_before  in front of the cut
  std::vector<double> packed(const Stack& stack, int blocks_before) const;
  /// @pre numbers.size() == packed_size(stack, blocks_before)
  void unpack(const Stack& stack, int blocks_before, std::span<const double> numbers);
  std::size_t packed_size(const Stack& stack, int blocks_before) const;

 private:
  std::vector<std::optional<Directions<Real>>> of_points_;
};

}  // namespace gradflow::nn

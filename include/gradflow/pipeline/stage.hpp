#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "gradflow/nn/block.hpp"
#include "gradflow/nn/directions.hpp"
#include "gradflow/nn/tied_gradient.hpp"
#include "gradflow/pipeline/checkpointing.hpp"
#include "gradflow/pipeline/observation.hpp"
#include "gradflow/pipeline/partition.hpp"
#include "gradflow/stats/catalogue.hpp"

namespace gradflow::pipeline {

/// What a stage has measured of one point when the last microbatch has come back.
struct PointResult {
  Failure failure;         ///< of the whole network, as far as this stage has heard
  stats::PointTable rows;  ///< the observed layers of this stage but for parts, columns of the observation
  /// Of each level of the whole network: with its first block, if asked for.
  std::vector<Scaled> tied_wgrad_squared = {};
  std::optional<nn::JacobianSpectrum> jacobian = {};  ///< with the first block, if asked for
};

/// How the table of a deep point leaves its stage before the point is finished, so that it is never held as a
/// whole: from its last rows to its first, which are in the PointResult.
struct Parts {
  int rows = std::numeric_limits<int>::max();  ///< of each
  /// @param point  index in the bundle
  std::function<void(std::size_t point, stats::PointTable rows)> take;
};

/// How many sums of weight gradients travel: one per level whose steps share their weights, if somebody asks.
int tied_sums(const nn::Bundle& bundle, const Observation& observation);

/// Called between two blocks, so that messages move while a stage computes.
using Breather = std::function<void()>;

/// When weight gradients are added up.
enum class WeightPasses : std::uint8_t {
  at_once,   ///< in the backward pass, layer by layer, while the signals are in cache
  deferred,  ///< in a pass of their own: the stage upstream gets its gradient earlier
};

template <class Real>
struct LayerMeasurement;
template <class Real>
class DeferredGradient;
class RowParts;

/// This rank's blocks of one bundle: weights, what the microbatches in flight have left, and the rows that
/// are filled.
///
/// Microbatches go forward in ascending order and come back in ascending order. A layer is observed when its
/// tape is written, and its row is final when its last weight gradient is; in between lives its
/// LayerMeasurement. So a stage that keeps few tapes holds few of everything else, at any depth.
///
/// Where a point ends its rows leave the stack, turn round here with the cotangent of its loss, and join the
/// stack again on the way back. A stage behind the end of a point has none of its rows.
template <class Real>
class Stage {
 public:
  /// Generates the weights of the stage's blocks, if they are kept. Weight gradients are added at once where
  /// tapes are not kept: what puts them off would keep as much.
  Stage(const nn::Bundle& bundle, BlockRange blocks, int microbatches, const Observation& observation,
        Breather breathe, Checkpointing checkpointing = {},
        WeightPasses weight_passes = WeightPasses::at_once, Parts parts = {});
  Stage(Stage&&) noexcept;
  ~Stage();

  /// @param x  what the block before the stage's first one sent (or the data)
  /// @return   the output of the stage's last block, of the points that go on; empty if none does
  State<Real> forward(int microbatch, State<Real> x);

  /// @param dy  gradient of what forward() returned. Behind it, if there are tied_sums and blocks follow:
  ///            their nn::TiedGradient of each level, packed.
  /// @return    gradient of x, and the sums with this stage's blocks; empty if the stage holds the first
  /// block
  State<Real> backward(int microbatch, State<Real> dy);

  /// What of the points' Jacobians travels upstream beside the gradient that backward() returns: of those
  /// whose first sample stands in this microbatch, which have begun behind the stage's first block or in it.
  std::vector<double> directions_sent(int microbatch) const {
    return directions_.packed(rows(microbatch), first_layer_ - 1);
  }
  /// The same from downstream. Call it before backward().
  void learn_directions(int microbatch, std::span<const double> directions) {
    directions_.unpack(rows_sent(microbatch), blocks_to_end(), directions);
  }
  /// How many numbers.
  std::size_t directions_received(int microbatch) const {
    return directions_.packed_size(rows_sent(microbatch), blocks_to_end());
  }

  /// What backward() put off: adds up the weight gradients of one microbatch. Nothing if they are added at
  /// once. @pre called in ascending order, each after its backward()
  void add_weight_gradients(int microbatch);

  /// Failures of every point known here; those of other stages arrive with their messages.
  const nn::Failures& failures() const noexcept { return failures_; }
  void learn(const nn::Failures& of_other_stages);

  const nn::Bundle& bundle() const noexcept { return bundle_; }
  /// Of what forward() is given.
  Stack rows(int microbatch) const { return rows_at(0, microbatch); }
  /// Of what forward() returns.
  Stack rows_sent(int microbatch) const { return rows_at(int(layers_.size()), microbatch); }

  /// One entry per point of the bundle. @pre every microbatch has come back, its weight gradients are added
  std::vector<PointResult> results() &&;

 private:
  struct Layer {
    std::unique_ptr<nn::Block<Real>> block;
    std::unique_ptr<LayerMeasurement<Real>> measurement;
  };
  /// Of one block and one microbatch.
  struct BlockTape {
    nn::Tape<Real> going_on;  ///< of the points that have the next block
    nn::Tape<Real> ending;    ///< of the others
    State<Real> outputs;      ///< of the others: they begin the way back
  };
  using Tapes = std::vector<BlockTape>;                           ///< of neighbouring blocks
  using DeferredGradients = std::vector<DeferredGradient<Real>>;  ///< [block], empty for blocks not observed
  using Signals = std::vector<State<Real>>;                       ///< before the first block of each piece
  struct Piece {
    int first = 0;
    int end = 0;
  };  ///< blocks of the stage, from 0

  /// Of the network, to the end of the stage.
  int blocks_to_end() const { return first_layer_ - 1 + int(layers_.size()); }
  int points_at(int i) const { return nn::points_with_layer(bundle_, first_layer_ + i); }
  bool some_end_at(int i) const { return points_at(i) > points_at(i + 1); }
  Stack rows_at(int i, int microbatch) const;
  const nn::Bundle& bundle_at(int i);
  const nn::Block<Real>& block(int i);
  LayerMeasurement<Real>* measurement(int i);
  void leave(int i);
  std::size_t level(int i) const { return std::size_t(bundle_.front().level_of(first_layer_ + i) - 1); }

  State<Real> forward_through(int i, int microbatch, Stack& stack, State<Real> x, BlockTape& tape,
                              nn::Observer<Real>& observer);
  State<Real> forward_rows(int i, const Stack& stack, State<Real> x, nn::Tape<Real>& tape,
                           nn::Observer<Real>& observer);
  State<Real> forward_into_loss(int i, const Stack& stack, State<Real> x, nn::Tape<Real>& tape,
                                nn::Observer<Real>& observer);
  State<Real> backward_through(int i, int microbatch, Stack& stack, State<Real> dy, BlockTape& tape,
                               nn::Observer<Real>& observer, nn::WeightGradient<Real>& gradient);
  State<Real> backward_rows(int i, const Stack& stack, State<Real> dy, nn::Entry entry, nn::Tape<Real>& tape,
                            nn::Observer<Real>& observer, nn::WeightGradient<Real>& gradient);

  State<Real> run_taping(Piece piece, int microbatch, State<Real> x, Tapes& tapes);
  State<Real> run_keeping_signals(Piece piece, int microbatch, State<Real> x, int span, Signals& signals);
  State<Real> back_through_all(int microbatch, State<Real> dy);
  State<Real> back_through(Piece piece, int microbatch, State<Real> dy, Tapes tapes);
  State<Real> back_from_signals(Piece piece, int microbatch, State<Real> dy, std::size_t level,
                                Signals signals);
  void weight_gradient_is_added(int i, int microbatch);
  void finish_weight_gradients();
  void make_room_for_waiting();
  void hand_over_filled_rows();

  nn::Bundle bundle_;
  nn::Bundle first_points_;  ///< of the bundle: the last answer of bundle_at()
  int first_layer_;
  int microbatches_;
  Observation observation_;
  std::vector<bool> observed_;  ///< by block: some point that has it stores it
  stats::Needs needs_;
  std::vector<WeightRole> matrices_;  ///< of every block
  Breather breathe_;
  Checkpointing checkpointing_;
  WeightPasses weight_passes_;
  nn::Failures failures_;
  std::vector<std::unique_ptr<nn::Block<Real>>> patterns_;  ///< hold the weights that all blocks of a level
                                                            ///< share, if they do
  std::vector<Layer> layers_;
  Parts parts_;
  std::vector<RowParts> rows_;                ///< one per point
  std::vector<Tapes> tapes_;                  ///< [microbatch], if every tape is kept
  std::vector<Signals> signals_;              ///< [microbatch], otherwise
  std::vector<DeferredGradients> deferred_;   ///< [microbatch], empty unless weight passes are deferred
  std::vector<nn::TiedGradient<Real>> tied_;  ///< by level, from the last block to this stage's first
  nn::BundleDirections<Real> directions_;
  std::vector<int> waiting_;  ///< blocks whose whole weight gradients wait for their norms to be taken
};

}  // namespace gradflow::pipeline

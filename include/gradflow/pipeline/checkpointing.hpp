#pragma once

#include <optional>
#include <vector>

namespace gradflow::pipeline {

/// How a stage keeps what its backward pass needs: everything, or signals at a few blocks from which the rest
/// is computed again.
///
/// With spans {p} the signal before every p-th block is kept; in the backward pass each piece of p blocks
/// runs forward again, now with its tapes. With spans {p, q, ...} a piece is cut into pieces of q blocks in
/// turn, and so on: k spans cost k forward passes and keep signals of the order of n^(1/(k+1)). Chen, Xu,
/// Zhang and Guestrin, Training deep nets with sublinear memory cost (2016).
struct Checkpointing {
  std::vector<int> spans;    ///< blocks of a piece, from the coarsest; empty: every tape is kept
  bool keep_weights = true;  ///< false: generated for every pass, a piece's stay until it has come back

  bool keeps_tapes() const noexcept { return spans.empty(); }
  friend bool operator==(const Checkpointing&, const Checkpointing&) = default;
};

/// What a stage's blocks take in memory and time; bytes, and operations in any unit.
struct StageDemand {
  int blocks = 1;
  double in_flight = 1;              ///< microbatches that have gone forward and not come back, at the most
  double weight_bytes = 0;           ///< of all blocks
  double tape_bytes = 0;             ///< of all blocks, one microbatch
  double largest_weight_bytes = 0;   ///< of one block, while they are made
  double largest_tape_bytes = 0;     ///< of one block, one microbatch
  double state_bytes = 0;            ///< of the largest signal between two blocks, one microbatch
  double forward_operations = 0;     ///< of all blocks, without statistics
  double generation_operations = 0;  ///< of all weights
};

/// Weights, tapes and kept signals at the peak.
double bytes_of(const Checkpointing& checkpointing, const StageDemand& demand);

/// What it costs beyond one forward and one backward pass with weights generated once.
double extra_operations(const Checkpointing& checkpointing, const StageDemand& demand);

/// The fewest extra operations that fit into `bytes`, then the fewest bytes; nothing if none fits.
std::optional<Checkpointing> cheapest(const StageDemand& demand, double bytes);

/// The fewest bytes, whatever it costs.
Checkpointing smallest(const StageDemand& demand);

}  // namespace gradflow::pipeline

#pragma once

#include <string_view>

#include "gradflow/nn/network.hpp"
#include "gradflow/sweep/sweep.hpp"

/// What a sweep says of steps in time.
namespace gradflow::experiment {

/// Whether the depth of a network of these blocks counts steps. @throws UserError naming the known blocks
bool is_recurrent(std::string_view block);

/// Whether every step is fed with its piece of a sample.
bool takes_data_step_by_step(const sweep::SweepPoint& point);

/// Levels on top of each other; 1 for blocks that are no steps in time.
/// @throws UserError with the place of the key, for other blocks and for more than 1e8 layers
int stack_of(const sweep::SweepPoint& point);

/// The options of steps in time, none of which another block may have.
/// @throws UserError with the place of the key: an option of other blocks, values that exclude each other, a
/// sample that is not as many equal pieces as there are steps
nn::Recurrence recurrence_of(const sweep::SweepPoint& point);

}  // namespace gradflow::experiment

#pragma once

#include <filesystem>
#include <memory>
#include <set>

#include "gradflow/mpi/communicator.hpp"
#include "gradflow/nn/data_set.hpp"
#include "gradflow/nn/layer_weights.hpp"
#include "gradflow/sweep/sweep.hpp"

/// Files that a sweep names beside itself. Paths are relative to the sweep file; a process opens each file
/// once, and reads the rest of it when it is first needed.
namespace gradflow::experiment {

/// The data set of `data.source`; null for a source that reads no file.
/// @throws UserError with the place of the key
std::shared_ptr<const nn::DataSet> data_set_of(const sweep::SweepPoint& point);

/// The weights of `init.scheme`; null for a scheme that draws them.
/// @throws UserError with the place of the key
std::shared_ptr<const nn::StoredWeights> stored_weights_of(const sweep::SweepPoint& point);

/// Every file that the sweep names. Opens none.
std::set<std::filesystem::path> named_files(const sweep::Sweep& sweep);

/// Reads all of them from end to end, as the ranks of a run together would; for a process that may die of it.
/// @throws UserError as the next
void read_named_files(const sweep::Sweep& sweep);

/// Reads what this rank will need of every data set of the sweep, so that a file that is damaged, or whose
/// labels do not fit the network, is told before anything is written. @collective over `world`
/// @param feeds  the rank holds a first stage and reads samples
/// @param judges the rank holds a last stage and reads labels
/// @throws UserError on every rank alike
void read_data(const mpi::Communicator& world, const sweep::Sweep& sweep, bool feeds, bool judges);

}  // namespace gradflow::experiment

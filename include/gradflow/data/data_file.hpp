#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "gradflow/nn/data_set.hpp"

/// Data sets in files that other programs have written.
///
/// Opening reads what a file announces; values and labels are read once, when they are first asked for.
namespace gradflow::data {

/// Values of one data set in memory.
inline constexpr std::int64_t most_bytes = std::int64_t(1) << 30;

/// What is done to the features x of a whole data set. A standard deviation of 0 leaves 0.
enum class Standardization {
  none,
  global,   ///< (x - mean) / std over all samples and features
  feature,  ///< of each feature over all samples
  sample,   ///< of each sample over its features: mean square 1
};

/// @throws UserError naming the known ones
Standardization standardization(std::string_view name);

// Each throws UserError for a file that is missing or not what it should be, and so do the data set's values
// and labels when the rest of the file is read.

/// IDX as LeCun wrote it for MNIST: unsigned bytes [sample][...], plain or gzip; a feature is a byte / 255.
/// @param labels  an IDX file [sample], or empty
std::shared_ptr<const nn::DataSet> open_idx(const std::filesystem::path& images,
                                            const std::filesystem::path& labels, Standardization wanted);

/// The binary version of CIFAR-10: records of one label byte and 3072 features; a feature is a byte / 255.
/// Krizhevsky, Learning multiple layers of features from tiny images (2009).
std::shared_ptr<const nn::DataSet> open_cifar10(const std::filesystem::path& file, Standardization wanted);

/// A dataset [sample][...] of numbers in an HDF5 file, and one [sample] of labels. Features are rounded to
/// float32. @param labels  the name of the dataset, or empty
std::shared_ptr<const nn::DataSet> open_hdf5(const std::filesystem::path& file, const std::string& dataset,
                                             const std::string& labels, Standardization wanted);

}  // namespace gradflow::data

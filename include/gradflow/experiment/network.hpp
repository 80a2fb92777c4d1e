#pragma once

#include <functional>
#include <vector>

#include "gradflow/nn/network.hpp"
#include "gradflow/sweep/sweep.hpp"

namespace gradflow::experiment {

enum class Precision { float32, float64 };

/// The network a point of a sweep describes. Files it names are opened. A data set sets the width of the
/// input, or of x_t where it comes in step by step, network.width that of every layer; without a depth and a
/// width, stored weights set both.
/// @throws UserError with the place of the key, if values exclude each other (sigma_w with he_normal, widths
/// with depth), or do not fit a file
nn::NetworkSpec network_of(const sweep::SweepPoint& point);

Precision precision_of(const sweep::SweepPoint& point);

/// Calls visit with one point for every combination of names and listed widths, the first value on the other
/// axes.
void for_each_combination_of_names(const sweep::Sweep& sweep,
                                   const std::function<void(const sweep::SweepPoint&)>& visit);

/// Whether the axis is nothing but seeds.
bool is_seeds(const sweep::Axis& axis);

/// Calls visit with the first point of every configuration: every combination of values, an axis of seeds
/// alone standing still at its first.
void for_each_configuration(const sweep::Sweep& sweep,
                            const std::function<void(const sweep::SweepPoint&)>& visit);

/// Calls visit with one point for every combination of names, listed widths and, where data or weights come
/// from a file or a source that is particular, widths and batches; the first value on the other axes.
void for_each_network(const sweep::Sweep& sweep, const std::function<void(const sweep::SweepPoint&)>& visit);

/// Of the Jacobian of any point; 0 if no point asks for one.
int most_directions(const sweep::Sweep& sweep);

/// Refuses a sweep in which some combination of values describes no network. Looks at the points of
/// for_each_network(), so it costs nothing for a million seeds.
/// @throws UserError as network_of()
void require_networks(const sweep::Sweep& sweep);

/// Whether some value of the sweep changes the number of layers, or how they are levels of a stack.
bool depths_differ(const sweep::Sweep& sweep);

/// Levels of the highest stack of recurrent layers; 1 without stacks.
int most_levels(const sweep::Sweep& sweep);

/// The depth of the shallowest network.
sweep::SweepPoint shallowest_point(const sweep::Sweep& sweep);

}  // namespace gradflow::experiment

#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace gradflow {

/// Which signal of a block is measured. What each means for a kind of block stands in that block's header.
enum class Role : std::uint8_t {
  preact,
  act,
  dgrad,
  branch_preact,
  branch_act,
  branch_output,
  branch_dgrad,
  cell_act,
  cell_dgrad,
  gate_input,
  gate_forget,
  gate_output,
  gate_update,
  gate_reset,
  gate_transform,
};
inline constexpr std::size_t role_count = 15;

/// Whether the signal travels backward.
constexpr bool is_gradient(Role role) {
  return role == Role::dgrad || role == Role::branch_dgrad || role == Role::cell_dgrad;
}

/// Which weight matrix of a block; the first is what most blocks call W.
enum class WeightRole : std::uint8_t { first, second, input, transform };

/// The beginning of the names of a matrix's variables: "", "second_", "input_", "transform_".
constexpr std::string_view prefix_of(WeightRole role) {
  constexpr std::array<std::string_view, 4> prefixes{"", "second_", "input_", "transform_"};
  return prefixes[std::size_t(role)];
}

/// What of a kind of block can be measured.
struct BlockParts {
  std::vector<Role> signals;
  std::vector<WeightRole> matrices;
  bool normalises = false;
};

/// Those of a block with one weight matrix and one activation.
inline BlockParts dense_parts() {
  return {{Role::preact, Role::act, Role::dgrad}, {WeightRole::first}, false};
}

}  // namespace gradflow

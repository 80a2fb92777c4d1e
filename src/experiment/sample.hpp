#pragma once

#include <cstdint>
#include <vector>

namespace gradflow::experiment {

/// Indices that stand for all of 0 .. size - 1: every one of them if there are at most `most`, otherwise
/// `most` of them at multiples of the golden ratio. A regular stride would meet the same values of the fast
/// axes again and again.
std::vector<std::uint64_t> sample(std::uint64_t size, std::uint64_t most);

}  // namespace gradflow::experiment

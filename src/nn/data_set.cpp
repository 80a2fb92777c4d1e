#include "gradflow/nn/data_set.hpp"

#include <unordered_map>

#include "gradflow/core/errors.hpp"
#include "gradflow/core/random.hpp"

namespace gradflow::nn {

// Fisher and Yates' shuffle, stopped after `batch` places; only places that were swapped are kept.
std::vector<std::int64_t> selected_samples(std::uint64_t seed, int batch, std::int64_t size) {
  expect(0 <= batch && batch <= size && size < std::int64_t(1) << 31, "a batch that the data can fill");
  std::vector<std::uint32_t> bits(static_cast<std::size_t>(batch));
  fill_bits({seed, Purpose::selection, 0}, 0, bits);
  std::unordered_map<std::int64_t, std::int64_t> moved;
  const auto at = [&](std::int64_t place) {
    const auto found = moved.find(place);
    return found == moved.end() ? place : found->second;
  };
  std::vector<std::int64_t> chosen;
  for (std::int64_t s = 0; s < batch; ++s) {
    const std::uint64_t left = std::uint64_t(size - s);
    const std::int64_t other = s + std::int64_t(bits[std::size_t(s)] * left >> 32);
    chosen.push_back(at(other));
    moved[other] = at(s);
  }
  return chosen;
}

}  // namespace gradflow::nn

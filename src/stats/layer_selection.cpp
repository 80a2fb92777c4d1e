#include "gradflow/stats/layer_selection.hpp"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>

#include "gradflow/core/errors.hpp"

namespace gradflow::stats {

namespace {

[[noreturn]] void refuse(std::string_view text) {
  throw UserError(
      "unknown choice of layers \"" + std::string(text) +
      "\"; write \"all\", \"every:10\" (layers 1, 11, 21, ... and the last) or \"log:64\" (up to 64 layers "
      "at equal ratios, 2 at least)");
}

/// The number after `prefix`. @throws UserError for anything but one integer of at least `least`
int number_after(std::string_view prefix, std::string_view text, int least) {
  const char* end = text.data() + text.size();
  int number = 0;
  const auto [stopped, error] = std::from_chars(text.data() + prefix.size(), end, number);
  if (error != std::errc() || stopped != end || number < least) refuse(text);
  return number;
}

std::vector<int> every(int stride, int depth) {
  std::vector<int> layers;
  for (std::int64_t layer = 1; layer < depth; layer += stride) layers.push_back(int(layer));
  layers.push_back(depth);
  return layers;
}

std::vector<int> logarithmic(int count, int depth) {
  std::vector<int> layers{1};
  for (int k = 1; k < count && layers.back() < depth; ++k) {
    const double exact = std::pow(double(depth), double(k) / (count - 1));
    const int layer = k == count - 1 ? depth : int(std::lround(exact));
    if (layer > layers.back()) layers.push_back(layer);
  }
  return layers;
}

}  // namespace

LayerSelection LayerSelection::parse(std::string_view text) {
  if (text == "all") return {Rule::every, 1};
  if (text.starts_with("every:")) return {Rule::every, number_after("every:", text, 1)};
  if (text.starts_with("log:")) return {Rule::logarithmic, number_after("log:", text, 2)};
  refuse(text);
}

std::vector<int> LayerSelection::select(int depth) const {
  expect(depth >= 1, "a network of at least one layer");
  return rule_ == Rule::every ? every(number_, depth) : logarithmic(number_, depth);
}

}  // namespace gradflow::stats

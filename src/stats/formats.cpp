#include "gradflow/stats/formats.hpp"

#include <array>

namespace gradflow::stats {

namespace {
constexpr std::array<Format, format_count> table{{
    {"fp8_e4m3", -10, "8 bits, 4 of exponent: smallest subnormal 2^-9"},
    {"fp8_e5m2", -17, "8 bits, 5 of exponent: smallest subnormal 2^-16"},
    {"fp16", -25, "IEEE binary16: smallest subnormal 2^-24"},
    {"bf16", -134, "bfloat16: smallest subnormal 2^-133"},
    {"fp32", -150, "IEEE binary32: smallest subnormal 2^-149"},
    {"fp64", -1075, "IEEE binary64: smallest subnormal 2^-1074"},
}};
}  // namespace

std::span<const Format> formats() { return table; }

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const Format& format : table) names.emplace_back(format.name);
  return names;
}

}  // namespace gradflow::stats

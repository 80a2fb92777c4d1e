#include "gradflow/stats/formats.hpp"

#include <array>

namespace gradflow::stats {

namespace {
// Halfway between the largest number and the step above it rounds to the even one: into nothing, but for
// fp8_e4m3, whose largest number, 448, is even.
constexpr std::array<Format, format_count> table{{
    {"fp8_e4m3", -10, 0x1.d000000000001p0, 8, "8 bits, 4 of exponent: from 2^-9 to 448"},
    {"fp8_e5m2", -17, 0x1.ep0, 15, "8 bits, 5 of exponent: from 2^-16 to 57344"},
    {"fp16", -25, 0x1.ffep0, 15, "IEEE binary16: from 2^-24 to 65504"},
    {"bf16", -134, 0x1.ffp0, 127, "bfloat16: from 2^-133 to 2^128"},
    {"fp32", -150, 0x1.ffffffp0, 127, "IEEE binary32: from 2^-149 to 2^128"},
    {"fp64", -1075, 2, 1023, "IEEE binary64: from 2^-1074 to 2^1024"},
}};
}  // namespace

std::span<const Format> formats() { return table; }

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const Format& format : table) names.emplace_back(format.name);
  return names;
}

}  // namespace gradflow::stats

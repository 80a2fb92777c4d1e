#include "colour.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include <fmt/format.h>

namespace gradflow::report {
namespace {

struct Rgb {
  double red, green, blue;
};

constexpr std::array viridis{Rgb{68, 1, 84},    Rgb{71, 45, 123},  Rgb{59, 82, 139}, Rgb{44, 114, 142},
                             Rgb{33, 145, 140}, Rgb{40, 174, 128}, Rgb{94, 201, 98}, Rgb{173, 210, 38}};
constexpr std::array blue_white_red{Rgb{33, 102, 172}, Rgb{103, 169, 207}, Rgb{247, 247, 247},
                                    Rgb{239, 138, 98}, Rgb{178, 24, 43}};
constexpr std::array okabe_ito{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"};

std::string text_of(const Rgb& c) {
  return fmt::format("#{:02x}{:02x}{:02x}", int(std::lround(c.red)), int(std::lround(c.green)),
                     int(std::lround(c.blue)));
}

Rgb between(std::span<const Rgb> stops, double share) {
  const double place = std::clamp(share, 0.0, 1.0) * double(stops.size() - 1);
  const std::size_t i = std::min(std::size_t(place), stops.size() - 2);
  const double t = place - double(i);
  const auto mix = [t](double a, double b) { return a + t * (b - a); };
  return {mix(stops[i].red, stops[i + 1].red), mix(stops[i].green, stops[i + 1].green),
          mix(stops[i].blue, stops[i + 1].blue)};
}

}  // namespace

std::string ordered_colour(double share) { return text_of(between(viridis, share)); }

std::string distinct_colour(std::size_t index) { return okabe_ito[index % okabe_ito.size()]; }

std::string signed_colour(double value) { return text_of(between(blue_white_red, (value + 1) / 2)); }

std::string ink_on_signed_colour(double value) { return std::abs(value) > 0.7 ? "#ffffff" : "#222222"; }

}  // namespace gradflow::report

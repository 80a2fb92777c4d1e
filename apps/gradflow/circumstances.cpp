#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "commands.hpp"

namespace gradflow::apps {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

/// A positive number and its unit. @throws UserError
template <std::size_t n>
double quantity(const char* option, const std::string& text, const std::array<Unit, n>& units,
                const char* examples) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, std::size_t(text.data() + text.size() - end));
  for (const Unit& known : units) {
    if (error == std::errc() && unit == known.name && std::isfinite(number) && number > 0) {
      return number * known.factor;
    }
  }
  throw UserError(
      fmt::format("{}: read \"{}\"; expected a positive number with its unit: {}", option, text, examples));
}

}  // namespace

double latency_of(const std::string& text) {
  constexpr std::array<Unit, 4> units{{{"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3}, {"s", 1}}};
  return quantity("--latency", text, units, "500ns, 2us, 1ms");
}

double bandwidth_of(const std::string& text) {
  constexpr std::array<Unit, 6> units{{{"MB/s", 1e6},
                                       {"GB/s", 1e9},
                                       {"TB/s", 1e12},
                                       {"MiB/s", 1 << 20},
                                       {"GiB/s", 1 << 30},
                                       {"Gbit/s", 1e9 / 8}}};
  return quantity("--bandwidth", text, units, "800MB/s, 10GB/s, 100Gbit/s");
}

experiment::Circumstances circumstances_of(const mpi::Communicator& world) {
  return {.ranks = world.size(), .threads_here = threads_per_rank(world), .link = {}};
}

}  // namespace gradflow::apps

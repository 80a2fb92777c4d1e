#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "gradflow/core/matrix.hpp"
#include "gradflow/core/random.hpp"
#include "gradflow/nn/activation.hpp"
#include "section.hpp"

namespace gradflow::bench {
namespace {

constexpr int rows = 256;  ///< with `width`: in the second cache, as a tile is when it is worked on
constexpr int width = 512;
constexpr int passes = 40;

double nanoseconds_per_element(double seconds) { return seconds * 1e9 / (double(rows) * width * passes); }

using Fill = void (*)(Stream, std::uint32_t, std::span<float>);

double random_numbers(Fill fill) {
  Matrix<float> numbers(rows, width);
  return nanoseconds_per_element(seconds_of([&] {
    for (std::uint32_t pass = 0; pass < passes; ++pass) {
      for (int i = 0; i < rows; ++i) fill({pass, Purpose::weight, 1}, std::uint32_t(i), numbers.row(i));
    }
  }));
}

Matrix<float> normal_numbers(std::uint32_t number) {
  Matrix<float> numbers(rows, width);
  for (int i = 0; i < rows; ++i) fill_normal({0, Purpose::data, number}, std::uint32_t(i), numbers.row(i));
  return numbers;
}

double values(const nn::Activation& phi, const Matrix<float>& z) {
  Matrix<float> h(rows, width);
  std::int32_t exponent = 0;
  return nanoseconds_per_element(seconds_of([&] {
    for (int pass = 0; pass < passes; ++pass) {
      for (int i = 0; i < rows; ++i) nn::activate<float>(phi, z.row(i), 0, width, h.row(i), exponent);
    }
  }));
}

/// The gradient shrinks from product to product, so every pass begins with a fresh copy, outside the clock.
double slopes(const nn::Activation& phi, const Matrix<float>& z, const Matrix<float>& gradient) {
  Matrix<float> d(rows, width);
  FailureCode code = FailureCode::none;
  double seconds = 0;
  for (int pass = 0; pass < passes; ++pass) {
    std::copy_n(gradient.data(), gradient.size(), d.data());
    seconds += seconds_of([&] {
      for (int i = 0; i < rows; ++i) {
        std::int32_t exponent = 0;
        nn::multiply_by_slope<float>(phi, z.row(i), 0, width, d.row(i), exponent, code);
      }
    });
  }
  return nanoseconds_per_element(seconds);
}

}  // namespace

void measure_random_numbers(const mpi::Communicator&, const Settings& settings, Table& table) {
  const Rounds rounds(settings.repeats, [] {
    return Round{{"normal", random_numbers(fill_normal<float>)},
                 {"uniform", random_numbers(fill_uniform<float>)},
                 {"truncated normal", random_numbers(fill_truncated_normal<float>)}};
  });
  table.add("normal", "time per number", rounds.of("normal"), "ns", "at most 1.2 (AVX-512)");
  table.add("uniform", "time per number", rounds.of("uniform"), "ns");
  table.add("truncated normal", "time per number", rounds.of("truncated normal"), "ns");
}

void measure_activations(const mpi::Communicator&, const Settings& settings, Table& table) {
  const Matrix<float> z = normal_numbers(1);
  const Matrix<float> gradient = normal_numbers(2);
  const Rounds rounds(settings.repeats, [&] {
    Round round;
    for (const nn::ActivationRow& row : nn::activations()) {
      const nn::Activation phi = nn::Activation::named(row.name);
      round[fmt::format("{} value", row.name)] = values(phi, z);
      round[fmt::format("{} slope", row.name)] = slopes(phi, z, gradient);
    }
    return round;
  });
  for (const nn::ActivationRow& row : nn::activations()) {
    const std::string name(row.name);
    table.add(name, "phi(z), rescaled, per element", rounds.of(name + " value"), "ns");
    table.add(name, "d * phi'(z), rescaled, per element", rounds.of(name + " slope"), "ns");
  }
}

}  // namespace gradflow::bench

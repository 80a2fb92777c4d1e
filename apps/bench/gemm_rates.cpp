#include "gemm_rates.hpp"

#include <algorithm>
#include <unistd.h>

#include <cblas.h>
#include <fmt/format.h>

#include "gradflow/core/parallel.hpp"
#include "gradflow/core/random.hpp"
#include "section.hpp"

namespace gradflow::bench {
namespace {

constexpr double shortest_seconds = 0.1;     ///< of one rate
constexpr double operations_per_task = 1e8;  ///< so that handing out tasks costs nothing

/// More than the last cache, so that the oldest operands have left it when their turn comes again.
std::size_t bytes_beyond_cache() {
  const long cache = std::max(sysconf(_SC_LEVEL3_CACHE_SIZE), sysconf(_SC_LEVEL2_CACHE_SIZE));
  const long memory = sysconf(_SC_PHYS_PAGES) / 8 * sysconf(_SC_PAGESIZE);
  return std::size_t(std::min(std::max(cache + cache / 4, 64L << 20), memory));
}

Matrix<float> normal_matrix(std::uint32_t number, int rows, int cols) {
  Matrix<float> matrix(rows, cols);
  for (int i = 0; i < rows; ++i) fill_normal({0, Purpose::weight, number}, std::uint32_t(i), matrix.row(i));
  return matrix;
}

}  // namespace

GemmShape::GemmShape(int rows, int width) : rows_(rows), width_(width) {
  const std::size_t bytes = sizeof(float) * std::size_t(2 * width) * std::size_t(width + rows);
  const std::size_t count = bytes_beyond_cache() / bytes + 1;
  for (std::uint32_t i = 0; i < count; ++i) {
    ring_.push_back({normal_matrix(2 * i, width, width), normal_matrix(2 * i + 1, rows, width),
                     Matrix<float>(rows, width), Matrix<float>(width, width)});
  }
}

/// @param product  calls sgemm on one set of operands; 2 rows N^2 operations
template <class Product>
double GemmShape::rate(bool all_cores, Product product) {
  const double operations = 2.0 * rows_ * width_ * width_;
  const int per_task = std::max(1, int(operations_per_task / operations));
  const int tasks = (int(ring_.size()) + per_task - 1) / per_task;
  const auto task = [&](int i) {
    for (int k = i * per_task; k < (i + 1) * per_task; ++k) product(ring_[std::size_t(k) % ring_.size()]);
  };
  double seconds = 0;
  double done = 0;
  while (seconds < shortest_seconds) {
    seconds += seconds_of([&] {
      if (all_cores) return parallel_for(tasks, task);
      for (int i = 0; i < tasks; ++i) task(i);
    });
    done += operations * per_task * tasks;
  }
  return done / seconds;
}

GemmRates GemmShape::rates(bool all_cores) {
  const int n = width_;
  GemmRates rates;
  rates.forward = rate(all_cores, [&](Operands& of) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows_, n, n, 1, of.input.data(), n, of.weight.data(),
                n, 0, of.output.data(), n);
  });
  rates.backward = rate(all_cores, [&](Operands& of) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows_, n, n, 1, of.input.data(), n,
                of.weight.data(), n, 0, of.output.data(), n);
  });
  rates.weight_gradient = rate(all_cores, [&](Operands& of) {
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n, n, rows_, 1, of.input.data(), n, of.output.data(),
                n, 0, of.gradient.data(), n);
  });
  return rates;
}

GemmRates GemmShape::one_core() { return rates(false); }

GemmRates GemmShape::all_cores() { return rates(true); }

void measure_gemm(const mpi::Communicator&, const Settings& settings, Table& table) {
  struct Shape {
    int rows;
    int width;
  };
  for (const auto [rows, width] :
       {Shape{32, 256}, {64, 128}, {64, 512}, {256, 512}, {512, 128}, {512, 256}, {512, 512}}) {
    GemmShape shape(rows, width);
    const Rounds rounds(settings.repeats, [&] {
      const GemmRates one = shape.one_core();
      const GemmRates all = shape.all_cores();
      return Round{{"one", one.sgemm()},
                   {"forward", all.forward},
                   {"backward", all.backward},
                   {"weight gradient", all.weight_gradient},
                   {"both", all.sgemm()}};
    });
    const std::string what = fmt::format("{} rows, N = {}", rows, width);
    const auto giga = [&](const char* name) {
      return rounds.of([=](const Round& round) { return round.at(name) / 1e9; });
    };
    table.add(what, "forward and backward, one core", giga("one"), "GF/s");
    table.add(what, fmt::format("forward, {} cores", settings.threads), giga("forward"), "GF/s");
    table.add(what, fmt::format("backward, {} cores", settings.threads), giga("backward"), "GF/s");
    table.add(what, fmt::format("weight gradient, {} cores", settings.threads), giga("weight gradient"),
              "GF/s");
    table.add(what, fmt::format("{} cores over one", settings.threads),
              rounds.of([](const Round& round) { return round.at("both") / round.at("one"); }), "1");
  }
}

}  // namespace gradflow::bench

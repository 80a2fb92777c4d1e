#include "gradflow/stats/unit_samples.hpp"

#include <cmath>
#include <random>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace gradflow::stats {
namespace {

using Rows = std::vector<std::vector<double>>;

// Squares of singular values of at most 40 unit vectors: a few roundings of 40 * 2^-53 each.
constexpr double few_roundings = 1e-12;

Rows random_rows(int samples, int width, unsigned seed) {
  std::mt19937_64 bits(seed);
  std::normal_distribution<double> normal;
  Rows rows(static_cast<std::size_t>(samples), std::vector<double>(std::size_t(width)));
  for (auto& row : rows) {
    for (double& x : row) x = normal(bits);
  }
  return rows;
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t j = 0; j < a.size(); ++j) sum += a[j] * b[j];
  return sum;
}

Rows units(Rows rows) {
  for (auto& row : rows) {
    const double norm = std::sqrt(dot(row, row));
    for (double& x : row) x = norm > 0 ? x / norm : 0;
  }
  return rows;
}

UnitSamples samples_of(const Rows& rows) {
  std::vector<double> all;
  for (const auto& row : units(rows)) all.insert(all.end(), row.begin(), row.end());
  return {std::move(all), int(rows.front().size())};
}

/// Singular values by one-sided Jacobi rotations of the rows: the slow, obvious way.
std::vector<double> singular_values(Rows a) {
  for (int sweep = 0; sweep < 40; ++sweep) {
    for (std::size_t p = 0; p < a.size(); ++p) {
      for (std::size_t q = p + 1; q < a.size(); ++q) {
        const double pq = dot(a[p], a[q]);
        if (pq == 0) continue;
        const double tau = (dot(a[q], a[q]) - dot(a[p], a[p])) / (2 * pq);
        const double t = std::copysign(1, tau) / (std::abs(tau) + std::sqrt(1 + tau * tau));
        const double c = 1 / std::sqrt(1 + t * t);
        for (std::size_t j = 0; j < a[p].size(); ++j) {
          const double x = a[p][j], y = a[q][j];
          a[p][j] = c * (x - t * y);
          a[q][j] = c * (t * x + y);
        }
      }
    }
  }
  std::vector<double> values;
  for (const auto& row : a) values.push_back(std::sqrt(dot(row, row)));
  return values;
}

Ranks ranks_by_definition(const Rows& rows) {
  double sum = 0, squares = 0, largest = 0, entropy = 0;
  const std::vector<double> values = singular_values(units(rows));
  for (const double s : values) {
    sum += s;
    squares += s * s;
    largest = std::max(largest, s);
  }
  for (const double s : values) entropy -= s > 1e-9 ? s / sum * std::log(s / sum) : 0;
  return {std::exp(entropy), squares / (largest * largest)};
}

TEST(RanksOfSamples, AgreeWithTheirDefinitions) {
  for (const auto& [samples, width] : {std::pair{7, 30}, {40, 40}, {40, 11}, {2, 1}}) {
    SCOPED_TRACE(testing::Message() << samples << " samples of width " << width);
    const Rows rows = random_rows(samples, width, 5);
    const Ranks expected = ranks_by_definition(rows);

    const Ranks found = samples_of(rows).ranks();

    EXPECT_NEAR(found.effective, expected.effective, few_roundings * expected.effective);
    EXPECT_NEAR(found.stable, expected.stable, few_roundings * expected.stable);
  }
}

TEST(RanksOfSamples, AreTheNumberOfDirectionsThatAreEquallyFilled) {
  Rows rows;
  for (int copy = 0; copy < 3; ++copy) {
    for (int j = 0; j < 5; ++j) {
      rows.emplace_back(8, 0.0);
      rows.back()[std::size_t(j)] = copy + 1;  // its size does not matter
    }
  }

  const Ranks ranks = samples_of(rows).ranks();

  EXPECT_NEAR(ranks.effective, 5, 5 * few_roundings);
  EXPECT_NEAR(ranks.stable, 5, 5 * few_roundings);
}

TEST(RanksOfSamples, AreOneForParallelSamplesAndForOne) {
  for (const int samples : {1, 2, 40}) {
    const Ranks ranks = samples_of(Rows(std::size_t(samples), {1, -2, 3, 0.1})).ranks();

    EXPECT_NEAR(ranks.effective, 1, few_roundings) << samples;
    EXPECT_NEAR(ranks.stable, 1, few_roundings) << samples;
  }
}

TEST(RanksOfSamples, LeaveSamplesWithoutANormOut) {
  Rows rows = random_rows(20, 30, 6);
  const Ranks expected = samples_of(rows).ranks();
  rows.insert(rows.begin() + 3, std::vector<double>(30, 0.0));

  const Ranks found = samples_of(rows).ranks();

  EXPECT_NEAR(found.effective, expected.effective, 20 * few_roundings);
  EXPECT_NEAR(found.stable, expected.stable, 20 * few_roundings);
  EXPECT_TRUE(std::isnan(samples_of(Rows(4, {0, 0})).ranks().effective));
  EXPECT_TRUE(std::isnan(UnitSamples().ranks().stable));
}

TEST(CosinesOfNeighbours, AreMeansOverPairsAtThatDistance) {
  const Rows rows = units(random_rows(33, 19, 7));
  const UnitSamples samples = samples_of(rows);

  for (const int lag : {1, 2, 32}) {
    double sum = 0;
    for (std::size_t s = 0; s + std::size_t(lag) < 33; ++s) sum += dot(rows[s], rows[s + std::size_t(lag)]);
    EXPECT_NEAR(samples.mean_cosine(lag), sum / (33 - lag), few_roundings) << lag;
  }
  EXPECT_TRUE(std::isnan(samples.mean_cosine(33)));
}

TEST(CosinesOfNeighbours, LeaveSamplesWithoutANormOut) {
  const UnitSamples samples = samples_of({{1, 0}, {0, 0}, {1, 1}, {-1, -1}});

  EXPECT_NEAR(samples.mean_cosine(1), -1, few_roundings);
  EXPECT_NEAR(samples.mean_cosine(2), std::sqrt(0.5), few_roundings);
}

TEST(UnitSamplesOfABatch, HaveTheSameBitsHoweverTheyAreAppended) {
  const Rows rows = random_rows(64, 23, 8);
  const UnitSamples whole = samples_of(rows);

  UnitSamples joined;
  for (const auto& [first, end] : {std::pair{0, 32}, {32, 33}, {33, 64}}) {
    joined.append(samples_of(Rows(rows.begin() + first, rows.begin() + end)));
  }

  EXPECT_EQ(joined.samples(), 64);
  EXPECT_EQ(joined.ranks().effective, whole.ranks().effective);
  EXPECT_EQ(joined.ranks().stable, whole.ranks().stable);
  EXPECT_EQ(joined.mean_cosine(8), whole.mean_cosine(8));
}

}  // namespace
}  // namespace gradflow::stats

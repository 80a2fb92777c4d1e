#include "gradflow/core/graded_product.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <cblas.h>

#include "gradflow/core/blas.hpp"
#include "gradflow/core/errors.hpp"
#include "gradflow/core/orthonormalise.hpp"

namespace gradflow {
namespace {

/// Sweeps after which Jacobi has long converged: about six are usual.
constexpr int most_sweeps = 60;

double dot(std::span<const double> a, std::span<const double> b) {
  return cblas_ddot(int(a.size()), a.data(), 1, b.data(), 1);
}

/// a/b as a double: 0 where it is too small for one.
double ratio(Scaled a, Scaled b) { return a.is_zero() ? 0 : (a / b).value(); }

/// A vector with a size of its own: true value = values * scale.
struct ScaledRow {
  std::vector<double> values;
  Scaled scale;
  double square = 0;  ///< of `values`

  Scaled norm_squared() const { return Scaled::of(square) * scale * scale; }
};

ScaledRow scaled_row(const std::vector<Scaled>& elements) {
  ScaledRow row{{}, {}, 0};
  for (const Scaled v : elements) {
    const Scaled size{std::abs(v.mantissa), v.exponent};
    if (row.scale < size) row.scale = size;
  }
  row.scale = row.scale.is_zero() ? row.scale : Scaled{1, row.scale.exponent};
  for (const Scaled v : elements) row.values.push_back(row.scale.is_zero() ? 0 : ratio(v, row.scale));
  row.square = dot(row.values, row.values);
  return row;
}

/// Turns two rows until they are at right angles; p is the longer. Their true ratio of scales may be any
/// number.
/// @return whether they were not yet
bool rotate(ScaledRow& p, ScaledRow& q, double tolerance) {
  const double product = dot(p.values, q.values);
  if (!(std::abs(product) > tolerance * std::sqrt(p.square) * std::sqrt(q.square))) return false;
  const double rho = ratio(q.scale, p.scale);
  const double difference = p.square - q.square * rho * rho;
  // tan(angle) / rho, which stays of the order of 1 however different the rows are.
  const double w = 2 * product / (difference + std::hypot(difference, 2 * product * rho));
  const double cosine = 1 / std::hypot(1.0, w * rho);
  for (std::size_t j = 0; j < p.values.size(); ++j) {
    const double a = p.values[j];
    const double b = q.values[j];
    p.values[j] = cosine * (a + w * rho * rho * b);
    q.values[j] = cosine * (b - w * a);
  }
  p.square = dot(p.values, p.values);
  q.square = dot(q.values, q.values);
  return true;
}

/// One-sided Jacobi: afterwards all rows are at right angles. Hestenes (1958).
void make_orthogonal(std::vector<ScaledRow>& rows) {
  const double tolerance = 0x1p-53 * std::max(10.0, std::sqrt(double(rows.size())));
  bool turned = true;
  for (int sweep = 0; turned; ++sweep) {
    expect(sweep < most_sweeps, "one-sided Jacobi converges");
    turned = false;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      for (std::size_t j = i + 1; j < rows.size(); ++j) {
        const bool in_order = !(rows[i].norm_squared() < rows[j].norm_squared());
        turned |= in_order ? rotate(rows[i], rows[j], tolerance) : rotate(rows[j], rows[i], tolerance);
      }
    }
  }
}

}  // namespace

GradedProduct::GradedProduct(int rows) : x_(rows, rows), d_(std::size_t(rows), Scaled::of(1)) {
  for (int i = 0; i < rows; ++i) x_(i, i) = 1;
}

std::vector<int> GradedProduct::multiply(const Matrix<double>& lower,
                                         std::span<const std::int64_t> exponents) {
  expect(lower.rows() == rank() && exponents.size() == d_.size(), "a factor for every direction");
  const int left = lower.cols();
  // D lower = B D', the columns of B at most 1 in size.
  std::vector<Scaled> sizes(static_cast<std::size_t>(left));
  std::vector<Scaled> column(d_.size());
  Matrix<double> b(rank(), left);
  for (int j = 0; j < left; ++j) {
    for (int i = j; i < rank(); ++i) {
      column[std::size_t(i)] = d_[std::size_t(i)] * Scaled::of(lower(i, j), exponents[std::size_t(i)]);
      const Scaled size{std::abs(column[std::size_t(i)].mantissa), column[std::size_t(i)].exponent};
      if (sizes[std::size_t(j)] < size) sizes[std::size_t(j)] = size;
    }
    if (sizes[std::size_t(j)].is_zero()) continue;
    for (int i = j; i < rank(); ++i) b(i, j) = ratio(column[std::size_t(i)], sizes[std::size_t(j)]);
  }
  Matrix<double> product(rows(), left);
  if (left > 0) gradflow::multiply(x_, 0, rows(), b, product);

  std::vector<int> order(static_cast<std::size_t>(left));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order,
                           [&](int i, int j) { return sizes[std::size_t(j)] < sizes[std::size_t(i)]; });
  x_ = Matrix<double>(rows(), left);
  d_.clear();
  for (int j = 0; j < left; ++j) {
    const int from = order[std::size_t(j)];
    d_.push_back(sizes[std::size_t(from)]);
    for (int i = 0; i < rows(); ++i) x_(i, j) = product(i, from);
  }
  return order;
}

Scaled GradedProduct::frobenius_squared() const {
  Scaled sum;
  for (int j = 0; j < rank(); ++j) {
    double square = 0;
    for (int i = 0; i < rows(); ++i) square += x_(i, j) * x_(i, j);
    const Scaled d = d_[std::size_t(j)];
    sum = sum + Scaled::of(square) * d * d;
  }
  return sum;
}

std::vector<Scaled> GradedProduct::singular_values() const {
  Matrix<double> transposed(rank(), rows());
  for (int i = 0; i < rows(); ++i) {
    for (int j = 0; j < rank(); ++j) transposed(j, i) = x_(i, j);
  }
  const Matrix<double> lower = orthonormalise_rows(transposed, rank());  // X = Q' R, R = lower'
  std::vector<ScaledRow> of_r;
  for (int i = 0; i < rank(); ++i) {
    std::vector<Scaled> elements(d_.size());
    for (int j = i; j < rank(); ++j) elements[std::size_t(j)] = Scaled::of(lower(j, i)) * d_[std::size_t(j)];
    of_r.push_back(scaled_row(elements));
  }
  make_orthogonal(of_r);
  std::vector<Scaled> values(static_cast<std::size_t>(rows()));
  for (std::size_t i = 0; i < of_r.size(); ++i) values[i] = sqrt(of_r[i].norm_squared());
  std::ranges::stable_sort(values, [](Scaled a, Scaled b) { return b < a; });
  return values;
}

std::size_t GradedProduct::packed_size(int rows) { return 1 + std::size_t(rows) * (std::size_t(rows) + 2); }

std::vector<double> GradedProduct::packed() const {
  std::vector<double> numbers{double(rank())};
  for (const Scaled d : d_) numbers.insert(numbers.end(), {d.mantissa, double(d.exponent)});
  numbers.insert(numbers.end(), x_.data(), x_.data() + x_.size());
  numbers.resize(packed_size(rows()));
  return numbers;
}

GradedProduct GradedProduct::unpacked(int rows, std::span<const double> numbers) {
  expect(numbers.size() == packed_size(rows), "a product of so many rows");
  GradedProduct product(0);
  const auto rank = std::size_t(numbers.front());
  numbers = numbers.subspan(1);
  for (std::size_t j = 0; j < rank; ++j) {
    product.d_.push_back({numbers[2 * j], std::int64_t(numbers[2 * j + 1])});
  }
  product.x_ = Matrix<double>(rows, int(rank));
  std::copy_n(numbers.begin() + std::ptrdiff_t(2 * rank), product.x_.size(), product.x_.data());
  return product;
}

}  // namespace gradflow

#include "gradflow/core/blas.hpp"

#include <algorithm>
#include <map>
#include <mutex>
#include <span>
#include <tuple>

#include <cblas.h>
#include <fmt/format.h>

#include "gradflow/core/errors.hpp"
#include "gradflow/core/random.hpp"

namespace gradflow {

namespace {

constexpr int pthread_build = 1;

/// C = beta C + op(A) op(B), row-major.
template <class Real>
void gemm(CBLAS_TRANSPOSE op_a, CBLAS_TRANSPOSE op_b, int m, int n, int k, const Real* a, int lda,
          const Real* b, int ldb, Real* c, int ldc, Real beta = 0) {
  if constexpr (sizeof(Real) == 4) {
    cblas_sgemm(CblasRowMajor, op_a, op_b, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
  } else {
    cblas_dgemm(CblasRowMajor, op_a, op_b, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
  }
}

/// Columns of b in one call for a tile of a, so that OpenBLAS takes the kernel it has for small products on
/// cores with AVX-512. It packs nothing: a tile costs no more than its share of a whole slice, and the second
/// thread does not pack b again. 0 where there is no such kernel, or no product of this depth is small.
template <class Real>
int columns_of_small_product(int depth) {
  constexpr int most_multiplications = 1'000'000;  // sgemm_small_matrix_permit of OpenBLAS 0.3.21
  constexpr int step = 64;                         // columns the kernel likes
  static const bool has_kernel = [] {
    const std::string core = openblas_get_corename();
    return core == "SkylakeX" || core == "Cooperlake" || core == "SapphireRapids";
  }();
  if (!has_kernel || sizeof(Real) != sizeof(float)) return 0;
  return most_multiplications / (tile_rows * std::max(depth, 1)) / step * step;
}

template <class Real>
void expect_rows(const Matrix<Real>& a, int first_row, int rows) {
  expect(first_row >= 0 && rows >= 0 && first_row + rows <= a.rows(), "rows inside the matrix");
}

void mirror_lower_triangle(Matrix<double>& c) {
  for (int i = 0; i < c.rows(); ++i) {
    for (int j = 0; j < i; ++j) c(j, i) = c(i, j);
  }
}

}  // namespace

void require_thread_safe_blas() {
  if (const int build = openblas_get_parallel(); build != pthread_build) {
    throw UserError(fmt::format(
        "the OpenBLAS loaded is the {} build ({}); gradflow needs the pthread build: apt-get install "
        "libopenblas0-pthread, then update-alternatives --config libopenblas.so.0-x86_64-linux-gnu",
        build == 0 ? "serial" : "OpenMP", openblas_get_config()));
  }
  openblas_set_num_threads(1);
}

BlasIdentity blas_identity() {
  // "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ...": what follows the version are options of the build.
  const std::string config = openblas_get_config();
  const std::size_t after_version = config.find(' ', config.find(' ') + 1);
  return {config.substr(0, after_version), openblas_get_corename()};
}

template <class Real>
void multiply_transposed(const Matrix<Real>& a, int first_row, int rows, const Matrix<Real>& b,
                         Matrix<Real>& c) {
  expect_rows(a, first_row, rows);
  expect_rows(c, first_row, rows);
  expect(a.cols() == b.cols() && c.cols() == b.rows(), "the shapes of c = a b' fit");
  gemm(CblasNoTrans, CblasTrans, rows, b.rows(), a.cols(), a.row(first_row).data(), a.cols(), b.data(),
       b.cols(), c.row(first_row).data(), c.cols());
}

template <class Real>
void multiply(const Matrix<Real>& a, int first_row, int rows, const Matrix<Real>& b, Matrix<Real>& c) {
  expect_rows(a, first_row, rows);
  expect_rows(c, first_row, rows);
  expect(a.cols() == b.rows() && c.cols() == b.cols(), "the shapes of c = a b fit");
  const int small = columns_of_small_product<Real>(a.cols());
  const int columns = small > 0 ? std::min(small, b.cols()) : b.cols();
  const int rows_of_call = small > 0 ? tile_rows : rows;
  for (int column = 0; column < b.cols(); column += columns) {
    for (int row = 0; row < rows; row += rows_of_call) {
      gemm(CblasNoTrans, CblasNoTrans, std::min(rows_of_call, rows - row),
           std::min(columns, b.cols() - column), a.cols(), a.row(first_row + row).data(), a.cols(),
           b.data() + column, b.cols(), c.row(first_row + row).data() + column, c.cols());
    }
  }
}

template <class Real>
void add_outer(const Matrix<Real>& a, int first_row_a, const Matrix<Real>& b, int first_row_b, int rows,
               Real keep, Matrix<Real>& g, const Patch& patch) {
  expect_rows(a, first_row_a, rows);
  expect_rows(b, first_row_b, rows);
  expect_rows(g, patch.first_row, patch.rows);
  expect(patch.first_col >= 0 && patch.cols >= 0 && patch.first_col + patch.cols <= g.cols(),
         "columns inside the matrix");
  expect(g.rows() == a.cols() && g.cols() == b.cols(), "the shapes of g += a' b fit");
  gemm(CblasTrans, CblasNoTrans, patch.rows, patch.cols, rows, a.row(first_row_a).data() + patch.first_row,
       a.cols(), b.row(first_row_b).data() + patch.first_col, b.cols(),
       g.row(patch.first_row).data() + patch.first_col, g.cols(), keep);
}

Matrix<double> gram(const Matrix<double>& a) {
  Matrix<double> c(a.rows(), a.rows());
  if (c.empty()) return c;
  cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, a.rows(), a.cols(), 1, a.data(), a.cols(), 0, c.data(),
              c.cols());
  mirror_lower_triangle(c);
  return c;
}

namespace {

template <class Real>
Matrix<Real> random_matrix(std::uint32_t layer, int rows, int cols) {
  Matrix<Real> matrix(rows, cols);
  for (int i = 0; i < rows; ++i) fill_normal({0, Purpose::weight, layer}, std::uint32_t(i), matrix.row(i));
  return matrix;
}

template <class Real>
bool same_values(const Matrix<Real>& a, const Matrix<Real>& b) {
  return std::equal(a.data(), a.data() + a.size(), b.data());
}

template <class Real, class Product>
bool slices_equal_whole(Product product, const Matrix<Real>& a, const Matrix<Real>& b, int cols) {
  Matrix<Real> whole(a.rows(), cols);
  Matrix<Real> sliced(a.rows(), cols);
  product(a, 0, a.rows(), b, whole);
  for (int row = 0; row < a.rows(); row += tile_rows) product(a, row, tile_rows, b, sliced);
  return same_values(whole, sliced);
}

template <class Real>
bool try_slices(int rows, int fan_in, int fan_out) {
  const auto weight = random_matrix<Real>(1, fan_out, fan_in);
  const auto input = random_matrix<Real>(2, rows, fan_in);
  const auto gradient = random_matrix<Real>(3, rows, fan_out);
  return slices_equal_whole(multiply_transposed<Real>, input, weight, fan_out) &&
         slices_equal_whole(multiply<Real>, gradient, weight, fan_in);
}

}  // namespace

template <class Real>
bool slices_keep_bits(int rows, int fan_in, int fan_out) {
  expect(rows % tile_rows == 0, "rows in whole tiles");
  static std::mutex mutex;
  static std::map<std::tuple<int, int, int>, bool> answers;
  const std::scoped_lock lock(mutex);
  const auto shape = std::tuple(rows, fan_in, fan_out);
  if (const auto known = answers.find(shape); known != answers.end()) return known->second;
  return answers[shape] = try_slices<Real>(rows, fan_in, fan_out);
}

template void multiply_transposed(const Matrix<float>&, int, int, const Matrix<float>&, Matrix<float>&);
template void multiply_transposed(const Matrix<double>&, int, int, const Matrix<double>&, Matrix<double>&);
template void multiply(const Matrix<float>&, int, int, const Matrix<float>&, Matrix<float>&);
template void multiply(const Matrix<double>&, int, int, const Matrix<double>&, Matrix<double>&);
template void add_outer(const Matrix<float>&, int, const Matrix<float>&, int, int, float, Matrix<float>&,
                        const Patch&);
template void add_outer(const Matrix<double>&, int, const Matrix<double>&, int, int, double, Matrix<double>&,
                        const Patch&);
template bool slices_keep_bits<float>(int, int, int);
template bool slices_keep_bits<double>(int, int, int);

}  // namespace gradflow

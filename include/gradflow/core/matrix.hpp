#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>

#include "gradflow/core/errors.hpp"

namespace gradflow {

/// Samples of one GEMM slice and of one statistics tile: every cut of a batch falls on a multiple of it.
inline constexpr int tile_rows = 32;

/// Columns in memory for `width` features: a multiple of 16, at least 64 (float32) or 128 (float64).
/// OpenBLAS gives the same bits however such rows are sliced; the columns beyond `width` hold zero.
template <class Real>
constexpr int padded_width(int width) {
  constexpr int least = sizeof(Real) == 4 ? 64 : 128;
  const int rounded = (width + 15) / 16 * 16;
  return rounded < least ? least : rounded;
}

/// Rows in memory for `samples`: a multiple of tile_rows; the rows beyond `samples` hold zero.
constexpr int padded_rows(int samples) { return (samples + tile_rows - 1) / tile_rows * tile_rows; }

/// A dense row-major matrix that owns its memory, aligned to 64 bytes and zero at the start unless unset()
/// made it.
///
/// Moves are cheap; a copy is always spelled out, by copy().
template <class Real>
class Matrix {
 public:
  Matrix() = default;
  Matrix(int rows, int cols) : rows_(rows), cols_(cols), values_(allocate(rows, cols, true)) {}

  /// Without values: for a matrix whose every element is written next.
  static Matrix unset(int rows, int cols) {
    Matrix matrix;
    matrix.values_ = allocate(rows, cols, false);
    matrix.rows_ = rows;
    matrix.cols_ = cols;
    return matrix;
  }

  int rows() const noexcept { return rows_; }
  int cols() const noexcept { return cols_; }
  std::size_t size() const noexcept { return std::size_t(rows_) * std::size_t(cols_); }
  bool empty() const noexcept { return size() == 0; }

  Real* data() noexcept { return values_.get(); }
  const Real* data() const noexcept { return values_.get(); }
  std::span<Real> row(int i) noexcept { return {data() + std::size_t(i) * cols_, std::size_t(cols_)}; }
  std::span<const Real> row(int i) const noexcept {
    return {data() + std::size_t(i) * cols_, std::size_t(cols_)};
  }
  /// Row after row.
  std::span<const Real> all() const noexcept { return {data(), size()}; }
  Real& operator()(int i, int j) noexcept { return data()[std::size_t(i) * cols_ + j]; }
  Real operator()(int i, int j) const noexcept { return data()[std::size_t(i) * cols_ + j]; }

  Matrix copy() const {
    Matrix other = unset(rows_, cols_);
    std::copy(data(), data() + size(), other.data());
    return other;
  }

 private:
  static constexpr std::size_t alignment = 64;

  /// Before version 2.38 glibc's aligned_alloc does not find the hole that an equal matrix has left, and the
  /// heap grows. malloc does; so the start is aligned here, inside a block that is freed as a whole.
  struct Free {
    void* block = nullptr;
    void operator()(Real*) const noexcept { std::free(block); }
  };

  static std::unique_ptr<Real[], Free> allocate(int rows, int cols, bool zero) {
    expect(rows >= 0 && cols >= 0, "a matrix has no negative side");
    const std::size_t bytes =
        (std::size_t(rows) * cols * sizeof(Real) + alignment - 1) / alignment * alignment;
    if (bytes == 0) return {};
    auto* const block = static_cast<std::byte*>(std::malloc(bytes + alignment));
    if (block == nullptr) throw std::bad_alloc();
    const std::size_t past = reinterpret_cast<std::uintptr_t>(block) % alignment;
    auto* const memory = reinterpret_cast<Real*>(block + (alignment - past));
    if (zero) std::fill_n(memory, bytes / sizeof(Real), Real(0));
    return {memory, Free{block}};
  }

  int rows_ = 0;
  int cols_ = 0;
  std::unique_ptr<Real[], Free> values_;
};

}  // namespace gradflow

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <vector>

#include "gradflow/core/errors.hpp"
#include "gradflow/core/haar.hpp"
#include "gradflow/core/parallel.hpp"
#include "gradflow/core/random.hpp"
#include "gradflow/core/sum_of_squares.hpp"
#include "gradflow/nn/initialiser.hpp"

namespace gradflow::nn {

namespace {

struct Purposes {
  Purpose weight;
  Purpose bias;
};

Purposes purposes_of(WeightRole role) {
  switch (role) {
    case WeightRole::first:
      return {Purpose::weight, Purpose::bias};
    case WeightRole::second:
      return {Purpose::second_weight, Purpose::second_bias};
    case WeightRole::input:
      return {Purpose::input_weight, Purpose::input_bias};
    case WeightRole::transform:
      break;
  }
  return {Purpose::transform_weight, Purpose::transform_bias};
}

template <class Real>
void fill(Distribution distribution, Stream stream, std::uint32_t row, std::span<Real> out) {
  switch (distribution) {
    case Distribution::uniform:
      return fill_uniform(stream, row, out);
    case Distribution::truncated_normal:
      return fill_truncated_normal(stream, row, out);
    default:
      return fill_normal(stream, row, out);
  }
}

/// Calls body(first_row, end_row) for the matrix, a few rows each.
template <class Real, class Body>
void for_some_rows(const Matrix<Real>& z, const Body& body) {
  const int tiles = (z.rows() + tile_rows - 1) / tile_rows;
  parallel_for(tiles, [&](int t) { body(t * tile_rows, std::min(z.rows(), (t + 1) * tile_rows)); });
}

template <class Real>
void clear(Matrix<Real>& z) {
  std::fill(z.data(), z.data() + z.size(), Real(0));
}

/// Draws fan_out rows of fan_in elements; the rest of z, which may hold anything, is zero.
template <class Real>
void fill_independent(Distribution distribution, Stream stream, int fan_in, int fan_out, Matrix<Real>& z) {
  for_some_rows(z, [&](int first, int end) {
    for (int i = first; i < end; ++i) {
      const std::span<Real> row = z.row(i);
      const std::size_t drawn = i < fan_out ? std::size_t(fan_in) : 0;
      if (drawn > 0) fill(distribution, stream, std::uint32_t(i), row.first(drawn));
      std::ranges::fill(row.subspan(drawn), Real(0));
    }
  });
}

template <class Real>
void fill_orthogonal(Stream stream, int fan_in, int fan_out, Matrix<Real>& z) {
  const Matrix<double> q = haar_orthogonal(stream, std::max(fan_in, fan_out));
  for (int i = 0; i < fan_out; ++i) {
    std::ranges::transform(q.row(i).first(std::size_t(fan_in)), z.row(i).begin(),
                           [](double x) { return Real(x); });
  }
}

/// `count` different numbers below `bound`, each set of them equally likely: Floyd's sampling.
std::vector<char> chosen(int count, int bound, std::span<const std::uint32_t> bits) {
  std::vector<char> is_chosen(std::size_t(bound), 0);
  for (int i = 0; i < count; ++i) {
    const std::uint64_t last = std::uint64_t(bound - count + i);
    const std::uint64_t drawn = bits[std::size_t(i)] * (last + 1) >> 32;
    is_chosen[is_chosen[drawn] ? last : drawn] = 1;
  }
  return is_chosen;
}

/// Where is drawn from rows of the same table that no matrix reaches.
constexpr std::uint32_t first_row_of_choices = 1u << 31;

template <class Real>
void thin_out(Stream stream, int nonzeros, int fan_in, int fan_out, Matrix<Real>& z) {
  std::vector<std::uint32_t> bits(std::size_t(std::min(nonzeros, fan_in)));
  for (int i = 0; i < fan_out; ++i) {
    fill_bits(stream, first_row_of_choices + std::uint32_t(i), bits);
    const std::vector<char> kept = chosen(int(bits.size()), fan_in, bits);
    for (int j = 0; j < fan_in; ++j) {
      if (!kept[std::size_t(j)]) z(i, j) = 0;
    }
  }
}

template <class Real>
void mirror(int fan_in, int fan_out, Matrix<Real>& z) {
  const int half_in = fan_in / 2;
  const int half_out = fan_out / 2;
  for (int i = 0; i < half_out; ++i) {
    for (int j = 0; j < half_in; ++j) {
      z(i, j + half_in) = z(i + half_out, j) = -z(i, j);
      z(i + half_out, j + half_in) = z(i, j);
    }
  }
}

}  // namespace

template <class Real>
Matrix<Real> unit_weights(const SchemeRow& scheme, std::uint64_t seed, int layer, int fan_in, int fan_out,
                          WeightRole role, int nonzeros) {
  expect(layer >= 1 && fan_in >= 1 && fan_out >= 1, "a layer from 1 on, with units on both sides");
  expect(scheme.distribution != Distribution::stored, "a scheme that draws its weights");
  const Stream stream{seed, purposes_of(role).weight, std::uint32_t(layer)};
  Matrix<Real> z = Matrix<Real>::unset(padded_width<Real>(fan_out), padded_width<Real>(fan_in));
  if (scheme.distribution == Distribution::identity) {
    clear(z);
    for (int i = 0; i < std::min(fan_in, fan_out); ++i) z(i, i) = 1;
  } else if (scheme.distribution == Distribution::orthogonal) {
    clear(z);
    fill_orthogonal(stream, fan_in, fan_out, z);
  } else if (scheme.distribution == Distribution::sparse) {
    fill_independent(scheme.distribution, stream, fan_in, fan_out, z);
    thin_out(stream, nonzeros, fan_in, fan_out, z);
  } else if (scheme.distribution == Distribution::looks_linear) {
    expect(fan_in % 2 == 0 && fan_out % 2 == 0, "a mirror image on both sides");
    fill_independent(scheme.distribution, stream, fan_in / 2, fan_out / 2, z);
    mirror(fan_in, fan_out, z);
  } else {
    fill_independent(scheme.distribution, stream, fan_in, fan_out, z);
  }
  return z;
}

template <class Real>
Matrix<Real> unit_bias(const SchemeRow& scheme, std::uint64_t seed, int layer, int fan_out, WeightRole role) {
  expect(layer >= 1 && fan_out >= 1, "a layer from 1 on, with units");
  Matrix<Real> bias(1, padded_width<Real>(fan_out));
  fill(scheme.bias_fixed ? Distribution::uniform : Distribution::normal,
       {seed, purposes_of(role).bias, std::uint32_t(layer)}, 0, bias.row(0).first(std::size_t(fan_out)));
  return bias;
}

template <class Real>
Scaled frobenius_squared(const Matrix<Real>& z) {
  expect(z.cols() % 16 == 0, "padded columns");
  std::vector<double> of_rows(std::size_t(z.rows()));
  for_some_rows(z, [&](int first, int end) {
    for (int i = first; i < end; ++i) of_rows[std::size_t(i)] = sum_of_squares<Real>(z.row(i));
  });
  return Scaled::of(std::accumulate(of_rows.begin(), of_rows.end(), 0.0));
}

template Matrix<float> unit_weights(const SchemeRow&, std::uint64_t, int, int, int, WeightRole, int);
template Matrix<double> unit_weights(const SchemeRow&, std::uint64_t, int, int, int, WeightRole, int);
template Matrix<float> unit_bias(const SchemeRow&, std::uint64_t, int, int, WeightRole);
template Matrix<double> unit_bias(const SchemeRow&, std::uint64_t, int, int, WeightRole);
template Scaled frobenius_squared(const Matrix<float>&);
template Scaled frobenius_squared(const Matrix<double>&);

}  // namespace gradflow::nn

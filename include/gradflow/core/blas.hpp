#pragma once

#include <string>

#include "gradflow/core/matrix.hpp"

namespace gradflow {

/// Sets OpenBLAS to one thread per call; the threads of a rank are oneTBB's.
/// @throws UserError unless the library loaded is the pthread build: the serial build gives wrong results
/// when called from
///         several threads, the OpenMP build starts a team for each of them
void require_thread_safe_blas();

/// What decides the bits of a product besides its shape. Part of the numerics identity of a result file.
struct BlasIdentity {
  std::string version;  ///< "OpenBLAS 0.3.21"
  std::string core;     ///< kernels chosen for this machine: "SkylakeX"

  friend bool operator==(const BlasIdentity&, const BlasIdentity&) = default;
};

BlasIdentity blas_identity();

/// The forward product z = h W': c[r] = a[r] b' for `rows` rows from first_row on; other rows of c stay.
/// @param a  [batch][fan_in]     @param b  [fan_out][fan_in]     @param c  [batch][fan_out]     (padded
/// widths)
template <class Real>
void multiply_transposed(const Matrix<Real>& a, int first_row, int rows, const Matrix<Real>& b,
                         Matrix<Real>& c);

/// The backward product dh = dz W: c[r] = a[r] b for `rows` rows from first_row on; other rows of c stay.
/// @param a  [batch][fan_out]    @param b  [fan_out][fan_in]     @param c  [batch][fan_in]      (padded
/// widths)
template <class Real>
void multiply(const Matrix<Real>& a, int first_row, int rows, const Matrix<Real>& b, Matrix<Real>& c);

/// Some rows and columns of a matrix.
struct Patch {
  int first_row = 0;
  int rows = 0;
  int first_col = 0;
  int cols = 0;
};

/// Adds the weight gradient of one tile to a patch of g: g = keep g + a_tile' b_tile there, the tile being
/// `rows` rows of a and of b. With keep = 0, g may hold anything.
/// @param a  [batch][fan_out]    @param b  [batch][fan_in]       @param g  [fan_out][fan_in]    (padded
/// widths)
template <class Real>
void add_outer(const Matrix<Real>& a, int first_row_a, const Matrix<Real>& b, int first_row_b, int rows,
               Real keep, Matrix<Real>& g, const Patch& patch);

/// a a', exactly symmetric. @param a  [samples][features]  @return  [samples][samples]
Matrix<double> gram(const Matrix<double>& a);

/// Whether products of 32-row slices have the same bits as one call of `rows` rows, forward and backward.
///
/// Tried once per shape on fixed random numbers, then remembered; safe from several threads. A shape that
/// answers false must run in 32-row calls, or results would depend on the cut into microbatches.
/// @pre rows is a multiple of tile_rows; the widths are padded
template <class Real>
bool slices_keep_bits(int rows, int fan_in, int fan_out);

}  // namespace gradflow

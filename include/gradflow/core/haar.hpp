#pragma once

#include "gradflow/core/matrix.hpp"
#include "gradflow/core/random.hpp"

namespace gradflow {

/// An n x n orthogonal matrix Q, Haar-distributed: the rows of a normal matrix Z made orthonormal in their
/// order.
///
/// Z = L Q by Householder QR, with the signs that make the diagonal of L positive; without them Q is not
/// Haar. Mezzadri, How to generate random matrices from the classical compact groups (Notices of the AMS
/// 2007).
/// @pre n >= 1
Matrix<double> haar_orthogonal(Stream stream, int n);

}  // namespace gradflow

#pragma once

#include <vector>

#include "gradflow/theory/gaussian.hpp"

/// What one unit of a batch looks like after batch normalisation without epsilon: B numbers of mean 0 and
/// mean square 1, uniformly distributed on the sphere of such numbers when its preactivations are Gaussian
/// and equally correlated (Yang et al., A Mean Field Theory of Batch Normalization, ICLR 2019).
///
/// Integrals to 1e-10 of E |f|: double-exponential panels (Takahasi & Mori 1974), cut at the breaks of f.
namespace gradflow::theory {

/// E f(x) for one sample of the batch. @pre batch >= 4
/// @throws UserError if the quadrature does not converge: f has a break that is not among `breaks`
double sphere_mean(const Curve& f, int batch, const std::vector<double>& breaks);

/// E f(x1) f(x2) for two samples, whose correlation is -1/(B - 1). @pre batch >= 4
/// @throws UserError as sphere_mean
double sphere_product_mean(const Curve& f, int batch, const std::vector<double>& breaks);

}  // namespace gradflow::theory

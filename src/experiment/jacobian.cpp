#include "gradflow/experiment/jacobian.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <string>

namespace gradflow::experiment {
namespace {

constexpr double no_value = std::numeric_limits<double>::quiet_NaN();

struct JacobianColumn {
  const char* name;
  const char* long_name;
  const char* formula;
  bool by_index;
};

constexpr std::array measured_columns{
    JacobianColumn{
        "lyapunov_exponent",
        "Lyapunov exponents of the first sample's Jacobian, the leading ones if fewer directions "
        "than units were asked for",
        "mean over the (to - from) factors of ln |R_ii|, directions orthonormal behind every factor", true},
    JacobianColumn{
        "jacobian_log10_singular_value",
        "singular values of the first sample's Jacobian, falling; -inf: exact zero; NaN unless "
        "directions = \"all\"",
        "log10 s_i(J), J = dz_to/dz_from (dense), dx_to/dx_from (residual, highway), dh_to/dh_from "
        "(rnn, gru), dc_to/dc_from (lstm), total derivatives",
        true},
    JacobianColumn{"jacobian_log10_frobenius_norm",
                   "Frobenius norm of the first sample's Jacobian; an estimate from random directions unless "
                   "directions = \"all\"",
                   "log10 |J|_F; from k of N directions log10 sqrt(N/k sum_i |v_i J|^2)", false},
    JacobianColumn{"jacobian_isometry_variance",
                   "variance of the squared singular values over the square of their mean; NaN unless "
                   "directions = \"all\"",
                   "N sum s_i^4 / (sum s_i^2)^2 - 1", false},
};

stats::Column column_of(const JacobianColumn& column, int most) {
  return {.name = column.name,
          .long_name = column.long_name,
          .units = "1",
          .formula = column.formula,
          .per_layer = false,
          .extra_dimension = column.by_index ? "index" : "",
          .extent = column.by_index ? most : 1};
}

}  // namespace

stats::Columns jacobian_columns(int most) {
  stats::Columns columns;
  for (const JacobianColumn& column : measured_columns) columns.push_back(column_of(column, most));
  return columns;
}

void fill(stats::PointTable& table, int first_column, const nn::NetworkSpec&,
          const std::optional<nn::JacobianSpectrum>& measured) {
  if (!measured) return;
  std::ranges::copy(measured->lyapunov, table.values(first_column).begin());
  std::ranges::copy(measured->log10_singular_values, table.values(first_column + 1).begin());
  table.values(first_column + 2)[0] = measured->log10_frobenius_norm;
  table.values(first_column + 3)[0] = measured->isometry_variance;
}

}  // namespace gradflow::experiment

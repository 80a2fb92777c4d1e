#include <array>

#include "activation_rows.hpp"
#include "gradflow/nn/activation.hpp"
#include "piecewise_formulas.hpp"
#include "rectifying_formulas.hpp"
#include "saturating_formulas.hpp"

namespace gradflow::nn {
namespace {

using namespace formula;

/// One activation: its formulas A say everything else about it.
template <class A>
constexpr ActivationRow row(std::string_view name, std::string_view doc, std::string_view parameter = "",
                            double default_parameter = 0) {
  return {.name = name,
          .parameter = parameter,
          .default_parameter = default_parameter,
          .bounded = A::bounded,
          .zero_at_zero = HasRatio<A>,
          .positively_homogeneous = A::positively_homogeneous,
          .sup_slope = A::sup_slope,
          .slope_has_zeros = A::slope_has_zeros,
          .kinks = A::kinks,
          .float32 = &kernels<float, A>,
          .float64 = &kernels<double, A>,
          .doc = doc};
}

constexpr std::array catalogue{
    row<Linear>("linear", "x"),
    row<Relu>("relu", "max(x, 0)"),
    row<LeakyRelu>("leaky_relu", "x above 0, slope * x below", "slope", 0.01),
    row<Tanh>("tanh", "tanh(x)"),
    row<HardTanh>("hard_tanh", "x cut at -1 and 1"),
    row<Sigmoid>("sigmoid", "1/(1 + e^-x)"),
    row<Erf>("erf", "erf(x)"),
    row<Sin>("sin", "sin(x), for |x| up to 2^24 (float32) or 2^53 (float64)"),
    row<Softsign>("softsign", "x/(1 + |x|)"),
    row<Arctan>("arctan", "arctan(x)"),
    row<Elu>("elu", "x above 0, alpha (e^x - 1) below", "alpha", 1),
    row<Selu>("selu", "elu with alpha = 1.67326, times 1.05070: keeps mean 0 and variance 1"),
    row<Gelu>("gelu", "x Phi(x), Phi the normal distribution function (by erf, not by tanh)"),
    row<GeluTanh>("gelu_tanh", "x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))/2"),
    row<Silu>("silu", "x/(1 + e^-x), also called swish"),
    row<Mish>("mish", "x tanh(log(1 + e^x))"),
    row<Softplus>("softplus", "log(1 + e^x)"),
    row<HardSwish>("hard_swish", "x min(max(x + 3, 0), 6)/6"),
};

}  // namespace

std::span<const ActivationRow> activations() { return catalogue; }

}  // namespace gradflow::nn

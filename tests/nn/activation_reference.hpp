#pragma once

#include <string_view>

#include <boost/multiprecision/cpp_bin_float.hpp>

/// Activations and their derivatives by their textbook formulas in 100 digits: the slow, obvious
/// specification.
namespace gradflow::nn::reference {

using Exact = boost::multiprecision::cpp_bin_float_100;

/// Phi(-y) for y >= 0: the series of erf, all terms positive, below 12, above it Laplace's continued
/// fraction.
inline Exact normal_tail(const Exact& y) {
  const Exact gaussian = exp(-y * y / 2) / sqrt(2 * boost::math::constants::pi<Exact>());
  if (y > 12) {
    Exact fraction = y;
    for (int k = 400; k >= 1; --k) fraction = y + k / fraction;
    return gaussian / fraction;
  }
  Exact term = y, sum = y;
  for (int k = 1; term > sum * 1e-95; ++k) sum += term *= y * y / (2 * k + 1);
  return Exact(1) / 2 - gaussian * sum;
}

inline Exact normal(const Exact& x) { return x < 0 ? normal_tail(-x) : 1 - normal_tail(x); }
inline Exact density(const Exact& x) {
  return exp(-x * x / 2) / sqrt(2 * boost::math::constants::pi<Exact>());
}
inline Exact sigmoid(const Exact& x) {
  return x < 0 ? Exact(exp(x) / (1 + exp(x))) : Exact(1 / (1 + exp(-x)));
}
inline Exact erf(const Exact& x) {
  if (x < 0) return -erf(-x);
  if (x > 15) return 1;
  const Exact square = x * x;
  Exact term = x, sum = x;
  for (int k = 1; term > sum * 1e-95; ++k) sum += term *= 2 * square / (2 * k + 1);
  return 2 / sqrt(boost::math::constants::pi<Exact>()) * exp(-square) * sum;
}
inline Exact log1p(const Exact& t) { return t < 1e-60 ? Exact(t - t * t / 2) : Exact(log(1 + t)); }
inline Exact softplus(const Exact& x) { return x < 0 ? log1p(exp(x)) : Exact(x + log1p(exp(-x))); }
/// tanh for any size, which 1 - 2/(e^2x + 1) is not.
inline Exact tanh_of(const Exact& x) {
  if (x < 0) return -tanh_of(-x);
  if (x < 1e-45) return x - x * x * x / 3;
  const Exact t = exp(-2 * x);
  return (1 - t) / (1 + t);
}
inline Exact sech2(const Exact& x) {
  const Exact t = exp(-2 * abs(x));
  return 4 * t / ((1 + t) * (1 + t));
}
inline Exact expm1(const Exact& x) { return abs(x) < 1e-45 ? Exact(x + x * x / 2) : Exact(exp(x) - 1); }

inline const Exact selu_scale("1.0507009873554804934193349852946");
inline const Exact selu_alpha("1.6732632423543772848170429916717");

inline Exact value(std::string_view name, const Exact& x, double p) {
  using std::string_view_literals::operator""sv;
  if (name == "linear"sv) return x;
  if (name == "relu"sv) return x > 0 ? x : Exact(0);
  if (name == "leaky_relu"sv) return x > 0 ? x : Exact(p * x);
  if (name == "tanh"sv) return tanh_of(x);
  if (name == "hard_tanh"sv) return x < -1 ? Exact(-1) : x > 1 ? Exact(1) : x;
  if (name == "sigmoid"sv) return sigmoid(x);
  if (name == "erf"sv) return erf(x);
  if (name == "sin"sv) return sin(x);
  if (name == "softsign"sv) return x / (1 + abs(x));
  if (name == "arctan"sv) return abs(x) < 1e-45 ? x : Exact(atan(x));
  if (name == "elu"sv) return x > 0 ? x : Exact(p * expm1(x));
  if (name == "selu"sv) return selu_scale * (x > 0 ? x : Exact(selu_alpha * expm1(x)));
  if (name == "gelu"sv) return x * normal(x);
  if (name == "gelu_tanh"sv) {
    const Exact c = sqrt(2 / boost::math::constants::pi<Exact>());
    return x * sigmoid(2 * c * (x + Exact("0.044715") * x * x * x));
  }
  if (name == "silu"sv) return x * sigmoid(x);
  if (name == "mish"sv) return x * tanh_of(softplus(x));
  if (name == "softplus"sv) return softplus(x);
  if (name == "hard_swish"sv) return x <= -3 ? Exact(0) : x >= 3 ? x : Exact(x * (x + 3) / 6);
  throw std::invalid_argument("the reference knows no " + std::string(name));
}

inline Exact slope(std::string_view name, const Exact& x, double p) {
  using std::string_view_literals::operator""sv;
  if (name == "linear"sv) return 1;
  if (name == "relu"sv) return x > 0 ? 1 : 0;
  if (name == "leaky_relu"sv) return x > 0 ? 1 : p;
  if (name == "tanh"sv) return sech2(x);
  if (name == "hard_tanh"sv) return abs(x) < 1 ? 1 : 0;
  if (name == "sigmoid"sv) return sech2(x / 2) / 4;
  if (name == "erf"sv) return 2 / sqrt(boost::math::constants::pi<Exact>()) * exp(-x * x);
  if (name == "sin"sv) return cos(x);
  if (name == "softsign"sv) return 1 / ((1 + abs(x)) * (1 + abs(x)));
  if (name == "arctan"sv) return 1 / (1 + x * x);
  if (name == "elu"sv) return x > 0 ? Exact(1) : Exact(p * exp(x));
  if (name == "selu"sv) return selu_scale * (x > 0 ? Exact(1) : Exact(selu_alpha * exp(x)));
  if (name == "gelu"sv) return normal(x) + x * density(x);
  if (name == "gelu_tanh"sv) {
    const Exact c = 2 * sqrt(2 / boost::math::constants::pi<Exact>()), k("0.044715");
    const Exact w = c * (x + k * x * x * x);
    return sigmoid(w) + x * (sech2(w / 2) / 4) * c * (1 + 3 * k * x * x);
  }
  if (name == "silu"sv) return sigmoid(x) + x * sech2(x / 2) / 4;
  if (name == "mish"sv) return tanh_of(softplus(x)) + x * sech2(softplus(x)) * sigmoid(x);
  if (name == "softplus"sv) return sigmoid(x);
  if (name == "hard_swish"sv) return x < -3 ? Exact(0) : x > 3 ? Exact(1) : Exact((2 * x + 3) / 6);
  throw std::invalid_argument("the reference knows no " + std::string(name));
}

}  // namespace gradflow::nn::reference

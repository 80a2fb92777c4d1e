#pragma once

#include <vector>

/// Recurrent networks at their zero state (inputs, states and candidate biases 0), where the gradient in time
/// is a power of one matrix.
namespace gradflow::theory {

/// d state_t / d state_{t-1} = direct I + feedback W: W is the recurrent matrix of the candidate, the same at
/// every step, with entries N(0, sigma_w^2 / N).
///
/// All paths are included. Gates' own recurrent weights play no part: they multiply a state or a candidate
/// that is 0.
struct ZeroStateStep {
  double direct = 0;
  double feedback = 1;
};

/// h' = phi(W h): feedback phi'(0). tanh and linear: 1. Identity with relu (IRNN; Le, Jaitly & Hinton 2015):
/// 1 on the units that are positive.
ZeroStateStep rnn_step(double slope_at_zero = 1);

/// h' = (1 - leak) h + leak phi(W h) (Jaeger et al. 2007).
ZeroStateStep leaky_rnn_step(double leak, double slope_at_zero = 1);

/// LSTM (Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000): the cell c, with gates f, i, o =
/// sigmoid of their biases. c' = f c + i tanh(W h), h = o tanh(c), so dc_T/dc_1 = (f I + i o W)^(T-1),
/// dc_1/dc_0 = f I when h_0 is held fixed.
ZeroStateStep lstm_step(double forget_bias, double input_bias = 0, double output_bias = 0);

/// The LSTM of 1997, without a forget gate: c' = c + i tanh(W h).
ZeroStateStep lstm_step_without_forget_gate(double input_bias = 0, double output_bias = 0);

/// GRU (Cho et al., EMNLP 2014) in PyTorch's convention h' = (1 - z) tanh(W (r h)) + z h: direct z, feedback
/// (1 - z) r.
ZeroStateStep gru_step(double update_bias = 0, double reset_bias = 0);

/// |direct| + |feedback| sigma_w: the eigenvalues of W fill the disc of radius sigma_w (Ginibre 1965;
/// orthogonal matrices, their circle), so gradients in time vanish below 1 and explode above. A limit of wide
/// layers.
double spectral_radius(const ZeroStateStep& step, double sigma_w);

/// E |(direct I + feedback W)^steps u|^2 / |u|^2 = sum over j of C(steps, j)^2 direct^(2 (steps - j))
/// (feedback sigma_w)^(2 j): different powers of W are orthogonal on the average, and each keeps E |W^j u|^2
/// = sigma_w^(2 j) |u|^2 up to order steps^3 / N (orthogonal matrices: exactly). As a natural logarithm,
/// because it may be of any size.
/// @return -infinity where the step is 0
double ln_squared_growth(const ZeroStateStep& step, double sigma_w, int steps);

/// The same for 0, 1, ..., steps steps: [steps + 1]. They are Legendre polynomials, S_n = (direct^2 - f^2)^n
/// P_n((direct^2 + f^2) / (direct^2 - f^2)), f = feedback sigma_w, by whose recurrence they follow each
/// other.
std::vector<double> ln_squared_growths(const ZeroStateStep& step, double sigma_w, int steps);

/// Largest singular value of a wide square W (Bai & Yin 1988): 2 sigma_w, 1 sigma_w if it is orthogonal.
/// Times sup |phi'| below 1, gradients of an rnn vanish at any state (Pascanu, Mikolov & Bengio, ICML 2013);
/// the reverse does not hold.
double largest_singular_value(double sigma_w, bool orthogonal);

/// Chrono initialisation (Tallec & Ollivier, ICLR 2018): forget biases ln U(1, longest - 1), input
/// biases their negatives, so that units remember for 2 to `longest` steps. The mean of f^steps over units:
/// what is left on the direct path.
/// @throws UserError unless longest >= 2
double chrono_direct_path(double longest, int steps);

}  // namespace gradflow::theory

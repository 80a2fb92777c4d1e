#include "gradflow/stats/catalogue.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "gradflow/core/catalogue.hpp"

namespace gradflow::stats {

namespace {

/// What kind of signal a subject is; a figure belongs to some kinds, a set of bits.
enum Kind : unsigned { preactivation = 1, activation = 2, stream = 4, gate = 8, gradient = 16 };

constexpr unsigned forward = preactivation | activation | stream;

/// A signal in the names and formulas of the file.
struct Subject {
  Role role;
  Kind kind;
  std::string_view prefix;
  std::string_view noun;
  std::string_view symbol;
};

constexpr auto subjects = std::to_array<Subject>({
    {Role::preact, preactivation, "preact", "the preactivations", "z_l"},
    {Role::act, activation, "act", "the activations", "h_l"},
    {Role::branch_preact, preactivation, "branch_preact", "the branch's preactivations", "z_l"},
    {Role::branch_act, activation, "branch_act", "the branch's activations", "h_l"},
    {Role::branch_output, stream, "branch_output", "the branch's output", "F_l"},
    {Role::cell_act, stream, "cell_act", "the cell", "c_l"},
    {Role::gate_input, gate, "gate_input", "the input gate", "i_l"},
    {Role::gate_forget, gate, "gate_forget", "the forget gate", "f_l"},
    {Role::gate_output, gate, "gate_output", "the output gate", "o_l"},
    {Role::gate_update, gate, "gate_update", "the update gate", "u_l"},
    {Role::gate_reset, gate, "gate_reset", "the reset gate", "r_l"},
    {Role::gate_transform, gate, "gate_transform", "the transform gate", "t_l"},
    {Role::dgrad, gradient, "dgrad", "the gradient", "g_l"},
    {Role::branch_dgrad, gradient, "branch_dgrad", "the branch's gradient", "g_l"},
    {Role::cell_dgrad, gradient, "cell_dgrad", "the cell's gradient", "g_l"},
});

/// One figure of a signal. {0} stands for the subject's noun, {1} for its symbol; g_l is dE_s of the signal.
struct Figure {
  std::string_view suffix;
  unsigned kinds;
  std::string_view long_name;
  std::string_view formula;
  std::string_view preset;
  What needs;
  double (*value)(const SignalRecord& record, int index);
  std::string_view extra_dimension = "";
  int extent = 1;
};

template <double (Moments::*ratio)() const>
double of_moments(const SignalRecord& r, int) {
  return (r.summary.moments().*ratio)();
}
template <double (LogNorms::*figure)() const>
double of_norms(const SignalRecord& r, int) {
  return (r.summary.norms().*figure)();
}
template <double (SignalSummary::*figure)() const>
double of_summary(const SignalRecord& r, int) {
  return (r.summary.*figure)();
}
template <double (SignalRecord::*figure)() const>
double of_record(const SignalRecord& r, int) {
  return (r.*figure)();
}
double log10_mean_square(const SignalRecord& r, int) { return r.summary.moments().mean_square().log10(); }
double log10_rms(const SignalRecord& r, int) { return r.summary.moments().mean_square().log10() / 2; }
double log10_absmax(const SignalRecord& r, int) { return r.summary.moments().absmax().log10(); }
double mean(const SignalRecord& r, int) { return r.summary.moments().mean_value(); }
double underflow(const SignalRecord& r, int format) { return r.summary.underflow_fraction(format); }
double scaled_underflow(const SignalRecord& r, int format) {
  return r.summary.scaled_underflow_fraction(format);
}
double scaled_overflow(const SignalRecord& r, int format) {
  return r.summary.scaled_overflow_fraction(format);
}
template <double FurtherFigures::*figure>
double of_further(const SignalRecord& r, int) {
  return *r.summary.further_figures().*figure;
}
template <auto FurtherFigures::*figures_along>
double along(const SignalRecord& r, int index) {
  return (*r.summary.further_figures().*figures_along)[std::size_t(index)];
}
double effective_rank(const SignalRecord& r, int) { return r.summary.further_figures()->ranks.effective; }
double stable_rank(const SignalRecord& r, int) { return r.summary.further_figures()->ranks.stable; }

constexpr auto figures = std::to_array<Figure>({
    {"log10_q", forward, "Mean square of {0}", "log10 mean_{{s,i}} {1}[s,i]^2", "lean", What::squares,
     log10_mean_square},
    {"mean_over_rms", forward, "Mean of {0} over their root mean square", "mean {1} / sqrt(mean {1}^2)",
     "standard", What::moments, of_moments<&Moments::mean_over_rms>},
    {"var_over_q", forward, "Population variance of {0} over their mean square", "m2({1}) / mean {1}^2",
     "standard", What::moments, of_moments<&Moments::variance_over_mean_square>},
    {"skewness", forward, "Skewness of {0}", "m3 / m2^1.5 of {1}; NaN if m2 = 0", "full", What::shape,
     of_moments<&Moments::skewness>},
    {"kurtosis", forward | gradient, "Kurtosis of {0} (normal: 3)", "m4 / m2^2 of {1}; NaN if m2 = 0", "full",
     What::shape, of_moments<&Moments::kurtosis>},
    {"min_over_rms", forward, "Smallest of {0} over the root mean square", "min {1} / sqrt(mean {1}^2)",
     "full", What::squares, of_moments<&Moments::min_over_rms>},
    {"max_over_rms", forward, "Largest of {0} over the root mean square", "max {1} / sqrt(mean {1}^2)",
     "full", What::squares, of_moments<&Moments::max_over_rms>},
    {"log10_norm_mean", preactivation | stream, "Typical norm of a sample: {0}",
     "mean_s log10 |{1}[s]| over samples of nonzero norm", "standard", What::norms,
     of_norms<&LogNorms::log10_mean>},
    {"log10_norm_std", preactivation | stream, "Spread over samples of the log norm: {0}",
     "population std_s log10 |{1}[s]| over samples of nonzero norm", "standard", What::norms,
     of_norms<&LogNorms::log10_std>},
    {"log10_norm_mean", gradient, "Typical norm of a sample: {0}",
     "mean_s log10 |{1}[s]| over samples of nonzero norm; -inf if none", "lean", What::norms,
     of_norms<&LogNorms::log10_mean>},
    {"log10_norm_std", gradient, "Spread over samples of the log norm: {0}",
     "population std_s log10 |{1}[s]| over samples of nonzero norm; NaN if none", "lean", What::norms,
     of_norms<&LogNorms::log10_std>},
    {"dead_sample_fraction", gradient, "Share of the samples without a gradient: {0}",
     "count_s(|{1}[s]| = 0) / batch", "lean", What::norms, of_norms<&LogNorms::zero_fraction>},
    {"corr", forward | gradient, "Mean uncentred correlation of two samples: {0}",
     "mean_{{s<t}} cos({1}[s], {1}[t]) over samples of nonzero norm", "standard", What::directions,
     of_summary<&SignalSummary::mean_cosine>},
    {"log10_rms", gradient, "Root mean square of {0} (dominated by the largest)",
     "log10 sqrt(mean_{{s,i}} {1}[s,i]^2)", "standard", What::squares, log10_rms},
    {"log10_absmax", gradient, "Largest magnitude of {0}", "log10 max_{{s,i}} |{1}[s,i]|", "standard",
     What::squares, log10_absmax},
    {"zero_fraction", activation | gradient, "Share of zeros: {0}", "count({1} = 0) / (batch width)",
     "standard", What::squares, of_summary<&SignalSummary::zero_fraction>},
    {"dead_fraction", activation, "Share of the units that are zero for the whole batch: {0}",
     "count_i({1}[s,i] = 0 for all s) / width; NaN for batch 1", "standard", What::units,
     of_summary<&SignalSummary::dead_unit_fraction>},
    {"mean", gate, "Mean of {0}", "mean_{{s,i}} {1}[s,i]", "standard", What::moments, mean},
    {"saturated_fraction", activation | gate, "Share of the units and samples that are saturated: {0}",
     "count(|phi'| < saturation_threshold sup |phi'|) / (batch width)", "standard", What::squares,
     of_record<&SignalRecord::saturated_fraction>},
    {"underflow_fraction", gradient, "Share of the elements that would round to zero in a format: {0}",
     "count(0 < |{1}[s,i]| <= half the smallest subnormal) / (batch width)", "standard", What::underflow,
     underflow, "format", format_count},
    {"log2_reference", forward | gradient, "Octave of the root mean square of {0}: bin 0 of the histogram",
     "floor(log2 sqrt(mean {1}^2)); -inf for zeros", "full", What::magnitudes,
     of_further<&FurtherFigures::log2_reference>},
    {"log2_histogram", forward | gradient, "Shares of the magnitudes by octave: {0}",
     "count(floor(log2 |{1}[s,i]|) = log2_reference + bin) / (batch width), the first bin with all below, "
     "the "
     "last with all above; zeros are in none",
     "full", What::magnitudes, along<&FurtherFigures::octaves>, "bin", octave_bins},
    {"quantile_over_rms", forward | gradient, "Quantiles of {0} over the root mean square",
     "smallest x with count({1}[s,i] <= x) >= quantile (batch width), within 1/256 of its value, / "
     "sqrt(mean {1}^2)",
     "full", What::magnitudes, along<&FurtherFigures::quantiles>, "quantile", int(quantile_percents.size())},
    {"common_share", forward, "Share of the second moment that all samples have in common: {0}",
     "mean_{{s<t}} {1}[s] . {1}[t] / mean_s |{1}[s]|^2, sum_i (E {1}[i])^2 / sum_i E {1}[i]^2 without bias; "
     "NaN for batch 1",
     "full", What::sample_sum, of_further<&FurtherFigures::common_share>},
    {"effective_rank", activation, "Effective rank of the samples: {0}",
     "exp(-sum_k p_k ln p_k), p_k = s_k / sum_k s_k, s_k the singular values of the matrix of {1}[s] / "
     "|{1}[s]|, zero below 1e-8 or so of the largest",
     "full", What::spectrum, effective_rank},
    {"stable_rank", activation, "Stable rank of the samples: {0}",
     "sum_k s_k^2 / max_k s_k^2, s_k as in effective_rank", "full", What::spectrum, stable_rank},
    {"lag_corr", gradient, "Correlation of samples some places apart in the batch: {0}",
     "mean_s cos({1}[s], {1}[s + lag]) over samples of nonzero norm; NaN without a pair", "full",
     What::neighbours, along<&FurtherFigures::lag_cosines>, "lag", int(lags.size())},
    {"scaled_underflow_fraction", gradient,
     "Share of the elements that would round to zero in a format under the loss scale: {0}",
     "count(0 < 2^loss_scale |{1}[s,i]| <= half the smallest subnormal) / (batch width)", "full",
     What::loss_scaled, scaled_underflow, "format", format_count},
    {"overflow_fraction", gradient, "Share of the elements too large for a format under the loss scale: {0}",
     "count(2^loss_scale |{1}[s,i]| rounds beyond the largest number) / (batch width)", "full",
     What::loss_scaled, scaled_overflow, "format", format_count},
    {"lost_fraction", gradient, "Share of the elements lost far below their sample's largest: {0}",
     "count(stored as 0 though no factor is) / (batch width)", "standard", What::squares,
     of_record<&SignalRecord::lost_fraction>},
});

/// One figure of a weight matrix and its bias; the name follows the matrix's prefix.
struct GradientFigure {
  std::string_view name;
  std::string_view long_name;
  std::string_view formula;
  double (GradientNorms::*value)() const;
  std::string_view preset = "standard";
};

constexpr auto gradient_figures = std::to_array<GradientFigure>({
    {"wgrad_log10_norm", "Frobenius norm of the mean weight gradient", "log10 |mean_s dE_s/dW_l|_F",
     &GradientNorms::wgrad_log10_norm},
    {"bgrad_log10_norm", "Norm of the mean bias gradient", "log10 |mean_s dE_s/db_l|; NaN without a bias",
     &GradientNorms::bgrad_log10_norm},
    {"weight_log10_norm", "Frobenius norm of the weights", "log10 |W_l|_F",
     &GradientNorms::weight_log10_norm},
    {"wgrad_to_weight_log10", "Weight gradient over weights", "log10 (|mean_s dE_s/dW_l|_F / |W_l|_F)",
     &GradientNorms::wgrad_to_weight_log10},
    {"log10_noise_scale", "Gradient noise scale of the weights",
     "log10 ((sum_s |g_s|^2 - B |g|^2) / (B-1) / |g|^2), g_s = dE_s/dW_l, g = mean_s g_s; NaN for batch 1 "
     "and where rounding leaves the difference less than two digits",
     &GradientNorms::log10_noise_scale},
    {"log10_signal_to_noise", "Signal over noise of the mean weight gradient",
     "log10 (B |g|^2 / tr - 1), tr = (sum_s |g_s|^2 - B |g|^2) / (B-1): the squared norm of the expected "
     "gradient, estimated without bias, over the variance of the mean of B samples; -inf if the estimate is "
     "not positive; NaN as log10_noise_scale",
     &GradientNorms::log10_signal_to_noise, "full"},
});

/// One figure of the normalisations of a layer.
struct NormalizationFigure {
  std::string_view name;
  std::string_view long_name;
  std::string_view formula;
  double (NormalizationNorms::*value)() const;
};

constexpr auto normalization_figures = std::to_array<NormalizationFigure>({
    {"norm_scale_grad_log10_norm", "Norm of the mean gradient of the normalisations' scales",
     "log10 |mean_s dE_s/dscale_l|, n = scale zhat + shift; NaN without normalisation",
     &NormalizationNorms::scale_log10_norm},
    {"norm_shift_grad_log10_norm", "Norm of the mean gradient of the normalisations' shifts",
     "log10 |mean_s dE_s/dshift_l|, n = scale zhat + shift; NaN without normalisation",
     &NormalizationNorms::shift_log10_norm},
});

constexpr std::array matrices{WeightRole::first, WeightRole::second, WeightRole::input,
                              WeightRole::transform};

Statistic statistic_of(const Subject& subject, const Figure& figure) {
  const auto words = [&](std::string_view text) {
    return fmt::format(fmt::runtime(text), subject.noun, subject.symbol);
  };
  Needs needs;
  needs.signals[std::size_t(subject.role)] = figure.needs;
  return {.name = fmt::format("{}_{}", subject.prefix, figure.suffix),
          .long_name = words(figure.long_name),
          .units = "1",
          .formula = words(figure.formula),
          .extra_dimension = figure.extra_dimension,
          .extent = figure.extent,
          .preset = figure.preset,
          .subject = subject.role,
          .needs = needs,
          .value = [role = subject.role, value = figure.value](const LayerRecord& record, int index) {
            return value(record[role], index);
          }};
}

Statistic statistic_of(WeightRole matrix, const GradientFigure& figure) {
  return {.name = fmt::format("{}{}", prefix_of(matrix), figure.name),
          .long_name = std::string(figure.long_name),
          .units = "1",
          .formula = std::string(figure.formula),
          .extra_dimension = "",
          .extent = 1,
          .preset = figure.preset,
          .subject = matrix,
          .needs = {.signals = {}, .gradients = true},
          .value = [matrix, value = figure.value](const LayerRecord& record, int) {
            return (record[matrix].*value)();
          }};
}

Statistic statistic_of(const NormalizationFigure& figure) {
  return {.name = std::string(figure.name),
          .long_name = std::string(figure.long_name),
          .units = "1",
          .formula = std::string(figure.formula),
          .extra_dimension = "",
          .extent = 1,
          .preset = "standard",
          .subject = OfNormalization(),
          .needs = {.signals = {}, .gradients = true},
          .value = [value = figure.value](const LayerRecord& record, int) {
            return (record.normalization.*value)();
          }};
}

std::vector<Statistic> every_statistic() {
  std::vector<Statistic> all;
  for (const Subject& subject : subjects) {
    for (const Figure& figure : figures) {
      if ((figure.kinds & subject.kind) != 0) all.push_back(statistic_of(subject, figure));
    }
  }
  for (const WeightRole matrix : matrices) {
    for (const GradientFigure& figure : gradient_figures) all.push_back(statistic_of(matrix, figure));
  }
  for (const NormalizationFigure& figure : normalization_figures) all.push_back(statistic_of(figure));
  return all;
}

constexpr std::array preset_table{
    Preset{"lean", "sizes of the signals and gradients"},
    Preset{"standard", "every statistic that hardly costs time: no shapes of distributions, no ranks"},
    Preset{"full", "every statistic"},
};

const Preset* preset_called(std::string_view name) { return &find(presets(), "preset", name); }

bool is_among(const BlockParts& parts, Role role) { return std::ranges::count(parts.signals, role) > 0; }
bool is_among(const BlockParts& parts, WeightRole matrix) {
  return std::ranges::count(parts.matrices, matrix) > 0;
}
bool is_among(const BlockParts& parts, OfNormalization) { return parts.normalises; }

}  // namespace

Needs operator|(const Needs& a, const Needs& b) {
  Needs both{.signals = {}, .gradients = a.gradients || b.gradients};
  for (std::size_t i = 0; i < role_count; ++i) both.signals[i] = a.signals[i] | b.signals[i];
  return both;
}

std::span<const Statistic> statistics() {
  static const std::vector<Statistic> all = every_statistic();
  return all;
}

std::span<const Preset> presets() { return preset_table; }

Selection of_preset(std::string_view name, const BlockParts& parts) { return of_preset(name, {}, parts); }

Selection of_preset(std::string_view name, const std::vector<std::string>& also, const BlockParts& parts) {
  const Preset* wanted = preset_called(name);
  Selection selection;
  for (const Statistic& statistic : statistics()) {
    const bool is_wanted =
        preset_called(statistic.preset) <= wanted || std::ranges::find(also, statistic.name) != also.end();
    if (is_wanted) selection.push_back(&statistic);
  }
  return of_parts(selection, parts);
}

Selection of_parts(const Selection& selection, const BlockParts& parts) {
  Selection those;
  std::ranges::copy_if(selection, std::back_inserter(those), [&](const Statistic* statistic) {
    return std::visit([&](auto subject) { return is_among(parts, subject); }, statistic->subject);
  });
  return those;
}

Needs needed(const Selection& selection) {
  Needs needs;
  for (const Statistic* statistic : selection) needs = needs | statistic->needs;
  return needs;
}

bool takes_long_to_seal(const Needs& needs) {
  return std::ranges::any_of(needs.signals, [](What what) { return has(what, What::spectrum); });
}

Columns columns_of(const Selection& selection, int loss_scale) {
  Columns columns;
  for (const Statistic* s : selection) {
    const bool is_scaled =
        std::ranges::any_of(s->needs.signals, [](What what) { return has(what, What::loss_scaled); });
    columns.push_back({.name = s->name,
                       .long_name = s->long_name,
                       .units = std::string(s->units),
                       .formula = s->formula,
                       .setting = is_scaled ? fmt::format("loss_scale = {}", loss_scale) : "",
                       .extra_dimension = std::string(s->extra_dimension),
                       .extent = s->extent});
  }
  return columns;
}

void fill(PointTable& table, int row, const LayerRecord& record, const Selection& selection,
          int first_column) {
  int column = first_column;
  for (const Statistic* statistic : selection) {
    const std::span<double> values = table.at(column++, row);
    for (int i = 0; i < statistic->extent; ++i) values[i] = statistic->value(record, i);
  }
}

}  // namespace gradflow::stats

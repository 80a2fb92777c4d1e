#include "gradflow/stats/catalogue.hpp"

#include <array>
#include <string>

#include "gradflow/core/catalogue.hpp"

namespace gradflow::stats {

namespace {

using Signals = SignalSummary LayerRecord::*;
constexpr Signals preact = &LayerRecord::preact, act = &LayerRecord::act, dgrad = &LayerRecord::dgrad;

template <Signals signal>
constexpr Needs of(What what) {
  Needs needs;
  if constexpr (signal == preact) needs.preact = what;
  if constexpr (signal == act) needs.act = what;
  if constexpr (signal == dgrad) needs.dgrad = what;
  return needs;
}

template <Signals signal>
double log10_mean_square(const LayerRecord& r, int) {
  return (r.*signal).moments().mean_square().log10();
}
template <Signals signal>
double log10_rms(const LayerRecord& r, int) {
  return (r.*signal).moments().mean_square().log10() / 2;
}
template <Signals signal>
double log10_absmax(const LayerRecord& r, int) {
  return (r.*signal).moments().absmax().log10();
}
template <Signals signal, double (Moments::*ratio)() const>
double of_moments(const LayerRecord& r, int) {
  return ((r.*signal).moments().*ratio)();
}
template <Signals signal, double (LogNorms::*figure)() const>
double of_norms(const LayerRecord& r, int) {
  return ((r.*signal).norms().*figure)();
}
template <Signals signal, double (SignalSummary::*figure)() const>
double of_signal(const LayerRecord& r, int) {
  return ((r.*signal).*figure)();
}
template <double (GradientNorms::*figure)() const>
double of_gradients(const LayerRecord& r, int) {
  return (r.gradients.*figure)();
}
template <double (LayerRecord::*figure)() const>
double of_record(const LayerRecord& r, int) {
  return (r.*figure)();
}
double dgrad_underflow(const LayerRecord& r, int format) { return r.dgrad.underflow_fraction(format); }

constexpr auto rows = std::to_array<Statistic>({
    {"preact_log10_q", "Mean square of the preactivations", "1", "log10 mean_{s,i} z_l[s,i]^2", "", 1, "lean",
     of<preact>(What::squares), log10_mean_square<preact>},
    {"act_log10_q", "Mean square of the activations", "1", "log10 mean_{s,i} h_l[s,i]^2", "", 1, "lean",
     of<act>(What::squares), log10_mean_square<act>},

    {"preact_mean_over_rms", "Mean of the preactivations over their root mean square", "1",
     "mean z_l / sqrt(mean z_l^2)", "", 1, "standard", of<preact>(What::moments),
     of_moments<preact, &Moments::mean_over_rms>},
    {"preact_var_over_q", "Population variance of the preactivations over their mean square", "1",
     "m2(z_l) / mean z_l^2", "", 1, "standard", of<preact>(What::moments),
     of_moments<preact, &Moments::variance_over_mean_square>},
    {"preact_skewness", "Skewness of the preactivations", "1", "m3 / m2^1.5 of z_l; NaN if m2 = 0", "", 1,
     "full", of<preact>(What::shape), of_moments<preact, &Moments::skewness>},
    {"preact_kurtosis", "Kurtosis of the preactivations (normal: 3)", "1", "m4 / m2^2 of z_l; NaN if m2 = 0",
     "", 1, "full", of<preact>(What::shape), of_moments<preact, &Moments::kurtosis>},
    {"preact_min_over_rms", "Smallest preactivation over the root mean square", "1",
     "min z_l / sqrt(mean z_l^2)", "", 1, "full", of<preact>(What::squares),
     of_moments<preact, &Moments::min_over_rms>},
    {"preact_max_over_rms", "Largest preactivation over the root mean square", "1",
     "max z_l / sqrt(mean z_l^2)", "", 1, "full", of<preact>(What::squares),
     of_moments<preact, &Moments::max_over_rms>},

    {"act_mean_over_rms", "Mean of the activations over their root mean square", "1",
     "mean h_l / sqrt(mean h_l^2)", "", 1, "standard", of<act>(What::moments),
     of_moments<act, &Moments::mean_over_rms>},
    {"act_var_over_q", "Population variance of the activations over their mean square", "1",
     "m2(h_l) / mean h_l^2", "", 1, "standard", of<act>(What::moments),
     of_moments<act, &Moments::variance_over_mean_square>},
    {"act_skewness", "Skewness of the activations", "1", "m3 / m2^1.5 of h_l; NaN if m2 = 0", "", 1, "full",
     of<act>(What::shape), of_moments<act, &Moments::skewness>},
    {"act_kurtosis", "Kurtosis of the activations (normal: 3)", "1", "m4 / m2^2 of h_l; NaN if m2 = 0", "", 1,
     "full", of<act>(What::shape), of_moments<act, &Moments::kurtosis>},
    {"act_min_over_rms", "Smallest activation over the root mean square", "1", "min h_l / sqrt(mean h_l^2)",
     "", 1, "full", of<act>(What::squares), of_moments<act, &Moments::min_over_rms>},
    {"act_max_over_rms", "Largest activation over the root mean square", "1", "max h_l / sqrt(mean h_l^2)",
     "", 1, "full", of<act>(What::squares), of_moments<act, &Moments::max_over_rms>},

    {"dgrad_kurtosis", "Kurtosis of the gradient elements (normal: 3)", "1",
     "m4 / m2^2 of dE_s/dz_l; NaN if m2 = 0", "", 1, "full", of<dgrad>(What::shape),
     of_moments<dgrad, &Moments::kurtosis>},

    {"preact_log10_norm_mean", "Typical norm of a sample's preactivations", "1",
     "mean_s log10 |z_l[s]| over samples of nonzero norm", "", 1, "standard", of<preact>(What::norms),
     of_norms<preact, &LogNorms::log10_mean>},
    {"preact_log10_norm_std", "Spread over samples of the log norm of the preactivations", "1",
     "population std_s log10 |z_l[s]| over samples of nonzero norm", "", 1, "standard",
     of<preact>(What::norms), of_norms<preact, &LogNorms::log10_std>},

    {"preact_corr", "Mean uncentred correlation of the preactivations of two samples", "1",
     "mean_{s<t} cos(z_l[s], z_l[t]) over samples of nonzero norm", "", 1, "standard",
     of<preact>(What::directions), of_signal<preact, &SignalSummary::mean_cosine>},
    {"act_corr", "Mean uncentred correlation of the activations of two samples", "1",
     "mean_{s<t} cos(h_l[s], h_l[t]) over samples of nonzero norm", "", 1, "standard",
     of<act>(What::directions), of_signal<act, &SignalSummary::mean_cosine>},
    {"dgrad_corr", "Mean uncentred correlation of the gradients of two samples", "1",
     "mean_{s<t} cos(dE_s/dz_l, dE_t/dz_l) over samples of nonzero norm", "", 1, "standard",
     of<dgrad>(What::directions), of_signal<dgrad, &SignalSummary::mean_cosine>},

    {"act_zero_fraction", "Share of the activations stored as zero", "1", "count(h_l = 0) / (batch width)",
     "", 1, "standard", of<act>(What::squares), of_signal<act, &SignalSummary::zero_fraction>},
    {"act_dead_fraction", "Share of the units that are zero for the whole batch", "1",
     "count_i(h_l[s,i] = 0 for all s) / width; NaN for batch 1", "", 1, "standard", of<act>(What::units),
     of_signal<act, &SignalSummary::dead_unit_fraction>},
    {"act_saturated_fraction",
     "Share of the units and samples that are saturated",
     "1",
     "count(|phi'| < saturation_threshold sup |phi'|) / (batch width)",
     "",
     1,
     "standard",
     {.act = What::squares, .saturation = true},
     of_record<&LayerRecord::saturated_fraction>},

    {"dgrad_log10_norm_mean", "Typical norm of a sample's gradient", "1",
     "mean_s log10 |dE_s/dz_l| over samples of nonzero norm; -inf if none", "", 1, "lean",
     of<dgrad>(What::norms), of_norms<dgrad, &LogNorms::log10_mean>},
    {"dgrad_log10_norm_std", "Spread over samples of the log norm of the gradient", "1",
     "population std_s log10 |dE_s/dz_l| over samples of nonzero norm; NaN if none", "", 1, "lean",
     of<dgrad>(What::norms), of_norms<dgrad, &LogNorms::log10_std>},
    {"dgrad_dead_sample_fraction", "Share of the samples whose gradient is zero", "1",
     "count_s(|dE_s/dz_l| = 0) / batch", "", 1, "lean", of<dgrad>(What::norms),
     of_norms<dgrad, &LogNorms::zero_fraction>},
    {"dgrad_log10_rms", "Root mean square of the gradient elements (dominated by the largest)", "1",
     "log10 sqrt(mean_{s,i} (dE_s/dz_l[i])^2)", "", 1, "standard", of<dgrad>(What::squares),
     log10_rms<dgrad>},
    {"dgrad_log10_absmax", "Largest magnitude of a gradient element", "1", "log10 max_{s,i} |dE_s/dz_l[i]|",
     "", 1, "standard", of<dgrad>(What::squares), log10_absmax<dgrad>},
    {"dgrad_zero_fraction", "Share of the gradient elements that are zero", "1",
     "count(dE_s/dz_l[i] = 0) / (batch width)", "", 1, "standard", of<dgrad>(What::squares),
     of_signal<dgrad, &SignalSummary::zero_fraction>},
    {"dgrad_underflow_fraction", "Share of the gradient elements that would round to zero in a format", "1",
     "count(0 < |dE_s/dz_l[i]| <= half the smallest subnormal) / (batch width)", "format", format_count,
     "standard", of<dgrad>(What::underflow), dgrad_underflow},
    {"dgrad_lost_fraction",
     "Share of the gradient elements lost far below their sample's largest",
     "1",
     "count(stored as 0 though phi'(z) and dE/dh are not) / (batch width)",
     "",
     1,
     "standard",
     {.dgrad = What::squares, .lost = true},
     of_record<&LayerRecord::lost_fraction>},

    {"wgrad_log10_norm",
     "Frobenius norm of the mean weight gradient",
     "1",
     "log10 |mean_s dE_s/dW_l|_F",
     "",
     1,
     "standard",
     {.weight_gradient = true},
     of_gradients<&GradientNorms::wgrad_log10_norm>},
    {"bgrad_log10_norm",
     "Norm of the mean bias gradient",
     "1",
     "log10 |mean_s dE_s/db_l|; NaN without a bias",
     "",
     1,
     "standard",
     {.bias_gradient = true},
     of_gradients<&GradientNorms::bgrad_log10_norm>},
    {"weight_log10_norm",
     "Frobenius norm of the weights",
     "1",
     "log10 |W_l|_F",
     "",
     1,
     "standard",
     {.weight_norm = true},
     of_gradients<&GradientNorms::weight_log10_norm>},
    {"wgrad_to_weight_log10",
     "Weight gradient over weights",
     "1",
     "log10 (|mean_s dE_s/dW_l|_F / |W_l|_F)",
     "",
     1,
     "standard",
     {.weight_gradient = true, .weight_norm = true},
     of_gradients<&GradientNorms::wgrad_to_weight_log10>},
    {"log10_noise_scale",
     "Gradient noise scale of the weights",
     "1",
     "log10 ((sum_s |g_s|^2 - B |g|^2) / (B-1) / |g|^2), g_s = dE_s/dW_l, g = mean_s g_s; NaN for batch 1 "
     "and "
     "where rounding leaves the difference less than two digits",
     "",
     1,
     "standard",
     {.weight_gradient = true, .sample_gradients = true},
     of_gradients<&GradientNorms::log10_noise_scale>},
});

constexpr std::array preset_table{
    Preset{"lean", "sizes of the signals and gradients"},
    Preset{"standard", "every statistic but the shapes of the distributions"},
    Preset{"full", "every statistic"},
};

const Preset* preset_called(std::string_view name) { return &find(presets(), "preset", name); }

}  // namespace

Needs operator|(const Needs& a, const Needs& b) {
  return {
      .preact = a.preact | b.preact,
      .act = a.act | b.act,
      .dgrad = a.dgrad | b.dgrad,
      .saturation = a.saturation || b.saturation,
      .lost = a.lost || b.lost,
      .weight_gradient = a.weight_gradient || b.weight_gradient,
      .bias_gradient = a.bias_gradient || b.bias_gradient,
      .weight_norm = a.weight_norm || b.weight_norm,
      .sample_gradients = a.sample_gradients || b.sample_gradients,
  };
}

std::span<const Statistic> statistics() { return rows; }

std::span<const Preset> presets() { return preset_table; }

Selection of_preset(std::string_view name) {
  const Preset* wanted = preset_called(name);
  Selection selection;
  for (const Statistic& statistic : rows) {
    if (preset_called(statistic.preset) <= wanted) selection.push_back(&statistic);
  }
  return selection;
}

Needs needed(const Selection& selection) {
  Needs needs;
  for (const Statistic* statistic : selection) needs = needs | statistic->needs;
  return needs;
}

Columns columns_of(const Selection& selection) {
  Columns columns;
  for (const Statistic* s : selection) {
    columns.push_back({.name = std::string(s->name),
                       .long_name = std::string(s->long_name),
                       .units = std::string(s->units),
                       .formula = std::string(s->formula),
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

#include "gradflow/experiment/plan.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "gradflow/experiment/network.hpp"
#include "gradflow/nn/weight_gradient.hpp"

namespace gradflow::experiment {
namespace {

/// Elementwise work and statistics of one unit of one sample, and one random number, in operations of a large
/// product.
constexpr double operations_per_element = 1500;
constexpr double operations_per_weight = 200;

/// Rows of a product beyond which it gets no faster, and bytes of signals a stack may keep.
constexpr int efficient_rows = 1024;
constexpr double most_stacked_bytes = 1 << 30;

int auto_microbatches(const sweep::Sweep& sweep, const pipeline::Layout& layout) {
  const std::uint64_t points_per_group = sweep.size() / std::uint64_t(layout.groups());
  const bool stream_fills_the_pipeline = points_per_group >= 4 * std::uint64_t(layout.stages);
  return layout.stages == 1 || stream_fills_the_pipeline ? 1 : 2 * layout.stages;
}

/// Stacked points wait for each other, so a pipeline must still see several bundles per stage.
int auto_bundle(const sweep::Sweep& sweep, const pipeline::Layout& layout) {
  if (layout.stages == 1) return most_stacked;
  const std::uint64_t points_per_group = sweep.size() / std::uint64_t(layout.groups());
  const std::uint64_t per_stage = points_per_group / (8 * std::uint64_t(layout.stages));
  return int(std::clamp<std::uint64_t>(per_stage, 1, most_stacked));
}

double widest_signal(const nn::Widths& widths) {
  int widest = widths[0];
  for (int layer = 1; layer <= widths.depth(); ++layer) widest = std::max(widest, widths[layer]);
  return widest;
}

void require_depth(const sweep::Sweep& sweep, int stages) {
  const sweep::SweepPoint shallowest = shallowest_point(sweep);
  const int depth = network_of(shallowest).depth();
  pipeline::require_stages(stages, depth, fmt::format("point {} (depth = {})", shallowest.index(), depth));
}

void note_cut_microbatches(const sweep::Sweep& sweep, Plan& plan) {
  const int batch = network_of(sweep.point(0)).batch;
  const int most = padded_rows(batch) / tile_rows;
  if (plan.microbatches <= most) return;
  plan.notes.push_back(
      fmt::format("a batch of {} is cut into {} microbatches, not {}: cuts fall on multiples of {} samples",
                  batch, most, plan.microbatches, tile_rows));
}

}  // namespace

Plan make_plan(const sweep::Sweep& sweep, const Request& request, int ranks, int threads_here) {
  const int stages = request.stages.value_or(1);
  pipeline::require_layout(ranks, stages);
  require_depth(sweep, stages);

  Plan plan;
  plan.layout = pipeline::Layout::of(ranks, stages);
  plan.threads = request.threads.value_or(threads_here);
  plan.microbatches = request.microbatches.value_or(auto_microbatches(sweep, plan.layout));
  plan.most_bundled = request.bundle.value_or(auto_bundle(sweep, plan.layout));
  plan.schedule = &pipeline::schedule(request.schedule);
  if (request.microbatches) note_cut_microbatches(sweep, plan);
  if (plan.threads > threads_here) {
    plan.notes.push_back(fmt::format("{} threads per rank, but only {} CPUs for each: it will be slow",
                                     plan.threads, threads_here));
  }
  return plan;
}

int bundled_points(const Plan& plan, const nn::NetworkSpec& network) {
  const double rows = padded_rows(network.batch);
  const double bytes =
      2 * sizeof(double) * rows * widest_signal(network.widths) * network.depth() / plan.layout.stages;
  const double points = std::min(efficient_rows / rows, most_stacked_bytes / bytes);
  return std::clamp(int(points), 1, plan.most_bundled);
}

int microbatches_of(const Plan& plan, const nn::Bundle& bundle) {
  return std::min(plan.microbatches, nn::most_microbatches(bundle));
}

std::vector<double> layer_costs(const nn::Bundle& bundle) {
  const nn::Widths& widths = bundle.front().widths;
  double samples = 0;
  for (const nn::NetworkSpec& point : bundle) samples += padded_rows(point.batch);
  std::vector<double> costs;
  for (int layer = 1; layer <= widths.depth(); ++layer) {
    const double in = widths.fan_in(layer);
    const double out = widths.fan_out(layer);
    costs.push_back(samples * out * (6 * in + operations_per_element) + operations_per_weight * in * out);
  }
  return costs;
}

pipeline::Partition cut(const nn::Bundle& bundle, int stages) {
  return pipeline::Partition::balanced(layer_costs(bundle), stages);
}

std::uint64_t predicted_bytes(const nn::NetworkSpec& network, const Plan& plan, std::size_t bytes_of_real,
                              const std::vector<int>& observed_layers) {
  const nn::Bundle bundle{network};
  const pipeline::BlockRange blocks = cut(bundle, plan.layout.stages).blocks_of(0);
  const int microbatches = microbatches_of(plan, bundle);
  const double points_in_flight = std::max(1.0, double(plan.layout.stages) / microbatches);
  const double rows = double(padded_rows(network.batch)) * bundled_points(plan, network);
  double bytes = 0;
  for (int layer = blocks.first + 1; layer <= blocks.end; ++layer) {
    const double in = bytes_of_real == 4 ? padded_width<float>(network.widths.fan_in(layer))
                                         : padded_width<double>(network.widths.fan_in(layer));
    const double out = bytes_of_real == 4 ? padded_width<float>(network.widths.fan_out(layer))
                                          : padded_width<double>(network.widths.fan_out(layer));
    const bool explicit_gradient =
        microbatches > 1 && std::ranges::binary_search(observed_layers, layer) &&
        !nn::uses_gram_matrices(network.widths.fan_in(layer), network.widths.fan_out(layer), network.batch);
    bytes += double(bytes_of_real) * (in * out * (explicit_gradient ? 2 : 1) + rows * (in + out));
    bytes += 2 * 8 * out;  // unit-vector and bias sums
  }
  return std::uint64_t(bytes * points_in_flight);
}

}  // namespace gradflow::experiment

#include "gradflow/experiment/plan.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "gradflow/experiment/network.hpp"
#include "gradflow/experiment/row.hpp"

namespace gradflow::experiment {
namespace {

/// Elementwise work and statistics of one unit of one sample, and one random number, in operations of a large
/// product.
constexpr double operations_per_element = 1500;
constexpr double operations_per_generated_weight = 200;

/// Of a table that is not held longer: a fraction of what the file keeps in an open block.
constexpr double part_bytes = 8 << 20;

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

void require_depth(const sweep::Sweep& sweep, int stages) {
  const sweep::SweepPoint shallowest = shallowest_point(sweep);
  const int depth = network_of(shallowest).depth();
  pipeline::require_stages(stages, depth, fmt::format("point {} (depth = {})", shallowest.index(), depth));
}

void note_whole_batches(const sweep::Sweep& sweep, Plan& plan) {
  bool some_whole = false, some_cut = false;
  for_each_combination_of_names(sweep, [&](const sweep::SweepPoint& point) {
    (nn::takes_batch_whole(network_of(point)) ? some_whole : some_cut) = true;
  });
  if (!some_whole) return;
  plan.notes.push_back(
      fmt::format("{} batch whole, not in {} microbatches: batch normalization and lsuv look at all samples "
                  "at once, and steps in time share their weights",
                  some_cut ? "some points take their" : "every point takes its", plan.microbatches));
}

void note_cut_microbatches(const sweep::Sweep& sweep, Plan& plan) {
  const nn::NetworkSpec network = network_of(sweep.point(0));
  const int most = padded_rows(network.batch) / tile_rows;
  if (plan.microbatches <= most || nn::takes_batch_whole(network)) return;
  plan.notes.push_back(
      fmt::format("a batch of {} is cut into {} microbatches, not {}: cuts fall on multiples of {} samples",
                  network.batch, most, plan.microbatches, tile_rows));
}

}  // namespace

Plan make_plan(const sweep::Sweep& sweep, const Request& request, int ranks, int threads_here) {
  const int stages = request.stages.value_or(1);
  pipeline::require_layout(ranks, stages);
  require_depth(sweep, stages);

  Plan plan;
  plan.layout = pipeline::Layout::of(ranks, stages);
  plan.threads = plan.most_threads = request.threads.value_or(threads_here);
  plan.microbatches = request.microbatches.value_or(auto_microbatches(sweep, plan.layout));
  plan.most_bundled = request.bundle.value_or(auto_bundle(sweep, plan.layout));
  plan.schedule = &pipeline::schedule(request.schedule);
  plan.memory = request.memory;
  plan.points_per_group = (sweep.size() - 1) / std::uint64_t(plan.layout.groups()) + 1;
  const Row row(sweep);
  plan.layers = row.selected_layers();
  plan.row_bytes = row.bytes_per_layer();
  plan.needs = row.needs();
  if (plan.microbatches > 1) note_whole_batches(sweep, plan);
  if (request.microbatches) note_cut_microbatches(sweep, plan);
  if (plan.threads > threads_here) {
    plan.notes.push_back(fmt::format("{} threads per rank, but only {} CPUs for each: it will be slow",
                                     plan.threads, threads_here));
  }
  return plan;
}

int part_rows(const Plan& plan) { return int(std::max(1.0, part_bytes / std::max(plan.row_bytes, 1.0))); }

int microbatches_of(const Plan& plan, const nn::Bundle& bundle) {
  return std::min(plan.microbatches, nn::most_microbatches(bundle));
}

std::vector<double> layer_costs(const nn::Bundle& bundle) {
  const nn::Widths& widths = bundle.front().widths;
  double samples = 0;
  for (const nn::NetworkSpec& point : bundle) samples += padded_rows(point.batch);
  auto shallowest = bundle.rbegin();  // of the points that have the layer
  std::vector<double> costs;
  for (int layer = 1; layer <= widths.depth(); ++layer) {
    for (; shallowest->depth() < layer; ++shallowest) samples -= padded_rows(shallowest->batch);
    const double in = widths.fan_in(layer);
    const double out = widths.fan_out(layer);
    costs.push_back(samples * out * (6 * in + operations_per_element) +
                    operations_per_generated_weight * in * out);
  }
  return costs;
}

pipeline::Partition cut(const nn::Bundle& bundle, int stages) {
  return pipeline::Partition::balanced(layer_costs(bundle), stages);
}

}  // namespace gradflow::experiment

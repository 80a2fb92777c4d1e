#include "gradflow/experiment/forecast.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "bundle_queue.hpp"
#include "gradflow/core/errors.hpp"
#include "gradflow/experiment/memory.hpp"
#include "gradflow/experiment/stream.hpp"
#include "gradflow/nn/block.hpp"
#include "gradflow/nn/directions.hpp"
#include "sample.hpp"

namespace gradflow::experiment {
namespace {

template <class Value>
void add_new(std::vector<Value>& values, const Value& value) {
  if (std::ranges::find(values, value) == values.end()) values.push_back(value);
}

double row_bytes(Precision precision, int width) {
  const bool wide = precision == Precision::float64;
  return sizeof(std::int32_t) + (wide ? 8.0 * padded_width<double>(width) : 4.0 * padded_width<float>(width));
}

/// Reading a file is priced as filling a matrix.
nn::Distribution priced_as(nn::Distribution distribution) {
  return distribution == nn::Distribution::stored ? nn::Distribution::identity : distribution;
}

/// The values a point needs to be priced; bundles that agree in them cost the same.
bool cost_alike(const nn::Bundle& a, const nn::Bundle& b) {
  const auto alike = [](const nn::NetworkSpec& x, const nn::NetworkSpec& y) {
    return x.block == y.block && x.widths == y.widths && x.batch == y.batch &&
           x.recurrence.stack == y.recurrence.stack && x.recurrence.input == y.recurrence.input &&
           x.activation.name() == y.activation.name() &&
           x.init.scheme->distribution == y.init.scheme->distribution && x.jacobian == y.jacobian;
  };
  return std::ranges::equal(a, b, alike);
}

/// Mean of what an activation adds over the first points of a bundle, by rows.
PassSeconds activation_of(const CostModel& model, std::span<const nn::NetworkSpec> points, int rows) {
  PassSeconds mean;
  double all = 0;
  for (const nn::NetworkSpec& network : points) {
    const double share = padded_rows(network.batch);
    const PassSeconds added = model.activation_per_element(network.activation.name(), rows);
    mean.forward += share * added.forward;
    mean.backward += share * added.backward;
    all += share;
  }
  return {mean.forward / all, mean.backward / all};
}

/// Singular values of the product of all factors: one-sided Jacobi takes as long as so many products of its
/// size (measured: 144 of 256 directions, 128 of 512).
constexpr double products_of_spectrum = 130;

/// Directions of the points' Jacobians through one layer: a backward pass of as many rows; QR of them and a
/// product of their factors in float64, at a third and at all of the rate of products. With the last layer
/// the singular values are found.
double jacobian_seconds(const CostModel& model, std::span<const nn::NetworkSpec> points, int layer,
                        Precision precision) {
  double seconds = 0;
  for (const nn::NetworkSpec& network : points) {
    const auto& request = network.jacobian;
    if (!request || layer <= request->from || layer > request->to) continue;
    const double k = nn::first_directions(network);
    const double in = network.widths.fan_in(layer);
    const double out = network.widths.fan_out(layer);
    const LayerWork work{int(in), int(out), padded_rows(int(k)), 1, false, false};
    const double pass =
        model.layer(work).backward * double(nn::parts_of(network).matrices.size()) * nn::gates_of(network);
    const double in_float64 = precision == Precision::float64 ? 1 : 2;
    const double products = layer == request->from + 1 ? 1 + products_of_spectrum : 1;
    seconds += pass + in_float64 * model.layer(work).backward *
                          (3 * 4 * k * k * in + products * 2 * k * k * k) / (2 * k * in * out);
  }
  return seconds;
}

/// Adds `weight` times one stage's price.
void add(pipeline::StageCost& sum, const pipeline::StageCost& cost, double weight) {
  sum.forward_seconds += weight * cost.forward_seconds;
  sum.backward_seconds += weight * cost.backward_seconds;
  sum.message_seconds += weight * cost.message_seconds;
  sum.weight_seconds += weight * cost.weight_seconds;
}

}  // namespace

/// The bundles of the sampled windows of the largest share.
struct Forecaster::Share {
  struct Group {
    Precision precision;
    std::deque<PointBundle> bundles;
  };
  std::vector<Group> windows;
  double points = 0;   ///< of the whole share
  double sampled = 0;  ///< of the windows
};

std::vector<CostKinds> cost_kinds(const sweep::Sweep& sweep) {
  CostKinds kind;
  kind.statistics = statistics_label(sweep);
  for_each_combination_of_names(sweep, [&](const sweep::SweepPoint& point) {
    const nn::NetworkSpec network = network_of(point);
    add_new(kind.activations, std::string(network.activation.name()));
    add_new(kind.distributions, priced_as(network.init.scheme->distribution));
    if (!nn::block_of(network).steps_in_time) return;
    for (int level = 1; level <= network.recurrence.stack; ++level) {
      add_new(kind.steps, step_kind(network, level));
    }
  });
  std::vector<CostKinds> kinds;
  for (const Precision precision : {Precision::float32, Precision::float64}) {
    const sweep::Value* fixed = sweep.fixed("run.precision");
    if (fixed && std::get<std::string>(*fixed) != name_of(precision)) continue;
    kind.precision = precision;
    kinds.push_back(kind);
  }
  return kinds;
}

Forecaster::Forecaster(const sweep::Sweep& sweep, const Costs& costs, const Link& link)
    : sweep_(sweep), costs_(costs), link_(link), row_(sweep), statistics_(statistics_label(sweep)) {}

const Forecaster::Point& Forecaster::point(std::uint64_t index) {
  const auto found = points_.find(index);
  if (found != points_.end()) return found->second;
  const sweep::SweepPoint at = sweep_.point(index);
  return points_.emplace(index, Point{network_of(at), precision_of(at)}).first->second;
}

Forecaster::Share Forecaster::sampled_share(const Plan& plan) {
  const pipeline::Share blocks = pipeline::share_of(plan.layout, 0, std::int64_t(sweep_.size()));
  const std::int64_t in_block = std::min(std::int64_t(window_points), blocks.block(0).size());
  const std::int64_t blocks_of_window = window_points / in_block;
  const std::int64_t windows = (blocks.blocks() + blocks_of_window - 1) / blocks_of_window;

  Share share;
  share.points =
      double(blocks.blocks() - 1) * double(in_block) + double(blocks.block(blocks.blocks() - 1).size());
  for (const std::uint64_t window : sample(std::uint64_t(windows), sampled_windows)) {
    std::array<std::vector<QueuedPoint>, 2> queued;  // by precision
    const std::int64_t first = std::int64_t(window) * blocks_of_window;
    for (std::int64_t i = first; i < std::min(first + blocks_of_window, blocks.blocks()); ++i) {
      const pipeline::PointBlock block = blocks.block(i);
      for (std::int64_t k = block.first; k < block.end; ++k) {
        const Point& at = point(std::uint64_t(k));
        queued[std::size_t(at.precision)].push_back({std::uint64_t(k), at.network});
      }
      share.sampled += double(block.size());
    }
    for (const Precision precision : {Precision::float32, Precision::float64}) {
      std::vector<QueuedPoint>& points = queued[std::size_t(precision)];
      if (points.empty()) continue;
      share.windows.push_back({precision, stacked(std::move(points), plan, precision)});
    }
  }
  return share;
}

Forecaster::Price Forecaster::price(const nn::Bundle& bundle, Precision precision, const Plan& plan) const {
  const nn::NetworkSpec& network = bundle.front();
  const int stages = plan.layout.stages;
  const int microbatches = microbatches_of(plan, bundle);
  const CostModel model(costs_, precision, statistics_, plan.threads);
  const std::vector<bool> observed =
      pipeline::observed_blocks(row_.observation(bundle).layers, {0, network.depth()});
  const pipeline::Partition partition = cut(bundle, stages);
  const pipeline::Checkpointing checkpointing = memory_of(bundle, precision, plan, stages, 0).checkpointing;
  const double forward_again = double(checkpointing.spans.size());
  const double generations = checkpointing.keep_weights ? 1 : 2 + forward_again;

  const int matrices = int(nn::parts_of(network).matrices.size());
  const int gates = nn::gates_of(network);
  const bool tied = nn::block_of(network).steps_in_time;  // weights are made once
  const bool puts_off = stages > 1 && !tied;              // weight gradients, as the executor does

  Price price;
  int points = 0;
  int rows = 0;
  PassSeconds activation;
  LayerWork known;
  PassSeconds seconds;
  double weight_pass = 0;
  double weights = 0;
  for (int stage = 0; stage < stages; ++stage) {
    pipeline::StageCost cost{0, 0, 0, 0};
    double stage_weights = 0;
    double directions = 0;
    const pipeline::BlockRange blocks = partition.blocks_of(stage);
    for (int layer = blocks.first + 1; layer <= blocks.end; ++layer) {
      if (nn::points_with_layer(bundle, layer) != points) {
        points = nn::points_with_layer(bundle, layer);
        rows = rows_of(nn::microbatch_rows(bundle, 0, microbatches, layer));
        if (!tied) activation = activation_of(model, std::span(bundle).first(std::size_t(points)), rows);
      }
      const LayerWork work{network.widths.fan_in(layer),
                           network.widths.fan_out(layer),
                           rows,
                           network.batch,
                           observed[std::size_t(layer - 1)],
                           layer == 1};
      if (!(work == known)) {  // most layers are like the one before
        known = work;
        seconds = tied ? PassSeconds() : model.layer(work);
        const nn::Distribution distribution = priced_as(network.init.scheme->distribution);
        weights = matrices * gates * model.weights(distribution, work.fan_in, work.fan_out);
        weight_pass = puts_off ? matrices * model.weight_pass(work) : 0;
        seconds = {matrices * seconds.forward, matrices * seconds.backward - weight_pass};
      }
      if (tied) seconds = model.step(step_kind(network, layer), work, matrices, gates);
      const double elements = double(rows) * work.fan_out;
      cost.forward_seconds += seconds.forward + elements * activation.forward;
      cost.backward_seconds += seconds.backward + elements * activation.backward;
      cost.weight_seconds += weight_pass;
      stage_weights = tied ? weights : stage_weights + generations * weights;
      const auto present = std::span(bundle).first(std::size_t(points));
      directions += jacobian_seconds(model, present, layer, precision);
    }
    cost.backward_seconds += forward_again * cost.forward_seconds;
    double bytes = 0;
    if (stage + 1 < stages) {
      const int sent = rows_of(nn::microbatch_rows(bundle, 0, microbatches, blocks.end + 1));
      for (const int width : nn::state_widths(network, blocks.end))
        bytes += sent * row_bytes(precision, width);
    }
    cost.message_seconds = link_.latency_seconds + bytes / link_.bytes_per_second;
    price.stages.push_back(cost);
    price.weights.push_back(stage_weights + directions);
  }
  return price;
}

Forecaster::Stream Forecaster::stream_of(const Plan& plan) {
  const Share share = sampled_share(plan);
  const auto stages = std::size_t(plan.layout.stages);
  Stream stream{.costs = std::vector<pipeline::StageCost>(stages, {0, 0, 0, 0})};
  double microbatches = 0, bundles = 0;

  for (const Share::Group& window : share.windows) {
    const nn::Bundle* priced = nullptr;
    Price known;
    for (const PointBundle& bundle : window.bundles) {
      if (!priced || !cost_alike(*priced, bundle.networks)) {
        known = price(bundle.networks, window.precision, plan);
        priced = &bundle.networks;
      }
      const int pieces = microbatches_of(plan, bundle.networks);
      for (std::size_t stage = 0; stage < stages; ++stage) {
        add(stream.costs[stage], known.stages[stage], pieces);
        stream.costs[stage].forward_seconds += known.weights[stage];
      }
      microbatches += pieces;
      bundles += 1;
      stream.stacked = std::max(stream.stacked, int(bundle.points.size()));
    }
  }
  for (pipeline::StageCost& cost : stream.costs) {
    cost.forward_seconds /= microbatches;
    cost.backward_seconds /= microbatches;
    cost.message_seconds /= microbatches;
    cost.weight_seconds /= microbatches;
  }
  stream.microbatches = std::max(std::int64_t(1), std::int64_t(std::lround(microbatches / bundles)));
  const double all_microbatches = microbatches * share.points / share.sampled;
  stream.bundles = std::max(1.0, std::round(all_microbatches / double(stream.microbatches)));
  stream.points = share.points;
  stream.is_sampled = share.points != share.sampled;
  return stream;
}

Forecast Forecaster::of(const Plan& plan, std::int64_t most_actions) {
  const Stream stream = stream_of(plan);
  const double groups = plan.layout.groups();
  // Beyond what a count can hold the stream is as good as endless.
  const double counted = std::min(stream.bundles, 1e12);
  const StreamTime time =
      stream_time(*plan.schedule, stream.microbatches, std::int64_t(counted), stream.costs, most_actions);
  Forecast forecast;
  forecast.seconds = time.seconds * stream.bundles / counted;
  // Groups with a smaller share wait for the largest at the end.
  forecast.utilisation = time.utilisation * std::min(1.0, double(sweep_.size()) / (stream.points * groups));
  forecast.stacked = stream.stacked;
  forecast.simulated = time.simulated && !stream.is_sampled;
  forecast.bytes_per_rank = std::uint64_t(largest_use(sweep_, plan).use.total());
  return forecast;
}

std::vector<pipeline::TraceEvent> Forecaster::trace(const Plan& plan, std::int64_t most_events) {
  const Stream stream = stream_of(plan);
  const double events_of_a_bundle = 3.0 * plan.layout.stages * double(stream.microbatches);
  const double bundles = std::min(stream.bundles, std::floor(double(most_events) / events_of_a_bundle));
  const auto lists = pipeline::actions(*plan.schedule, {plan.layout.stages, stream.microbatches,
                                                        std::max(std::int64_t(1), std::int64_t(bundles))});
  return pipeline::trace_of(pipeline::simulate(lists, stream.costs), stream.microbatches);
}

}  // namespace gradflow::experiment

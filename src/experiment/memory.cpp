#include "gradflow/experiment/memory.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "gradflow/experiment/row.hpp"
#include "gradflow/nn/block.hpp"
#include "gradflow/nn/directions.hpp"
#include "gradflow/nn/weight_gradient.hpp"
#include "gradflow/stats/layer_record.hpp"

namespace gradflow::experiment {
namespace {

constexpr double mebi = 1 << 20;

/// What libraries take only when a point is measured: buffers of products, threads, the open file.
constexpr double libraries_at_work_bytes = 7 * mebi;

/// Operations per weight to generate it, per unit and sample to activate it, in operations of a large
/// product.
constexpr double operations_per_normal = 200;
constexpr double operations_per_unit = 400;
/// Householder QR of an n x n matrix in double and Q formed: about 8/3 n^3 operations at a tenth of the rate.
constexpr double operations_per_orthogonal_weight_and_row = 27;

/// Heap objects of a block, of a measurement and of a signal beside their arrays.
constexpr double block_object_bytes = 256;
constexpr double block_point_bytes = 192;
constexpr double signal_object_bytes = 160;
constexpr double measurement_bytes = sizeof(stats::LayerRecord) + 464;
constexpr double further_measurement_bytes = sizeof(stats::FurtherParts) + sizeof(stats::FurtherFigures) + 64;

/// Counts of magnitudes of ordinary signals lie in at most so many cells: twenty octaves of either sign.
constexpr double most_cells = 2 * 20 * stats::cells_per_octave;

/// Per layer of the network, whatever is observed: a stage's layer, lists of layers, costs of the partition.
constexpr double bookkeeping_bytes = 64;

/// Per layer: a stored prediction, and the vectors it is computed with.
constexpr double prediction_bytes = 3 * sizeof(double);
constexpr double prediction_work_bytes = 56;

/// Rows of a product beyond which it gets no faster, and bytes of signals a stack may keep.
constexpr int efficient_rows = 1024;
constexpr double most_stacked_bytes = 1 << 30;

/// The file keeps at most this much, and at most this many points, in an open block.
constexpr double open_block_bytes = 64 * mebi;
constexpr double open_block_points = 64;

double operations_per_weight(const nn::NetworkSpec& network, double in, double out) {
  const bool orthogonal = network.init.scheme->distribution == nn::Distribution::orthogonal;
  return operations_per_normal +
         (orthogonal ? operations_per_orthogonal_weight_and_row * std::max(in, out) : 0);
}

/// What is kept of the signals of one layer of one point until the batch is whole.
double kept_signal_bytes(const stats::Needs& needs, double batch, double width) {
  double bytes = 0;
  for (const stats::What what : needs.signals) {
    const bool keeps_samples =
        stats::has(what, stats::What::spectrum) || stats::has(what, stats::What::neighbours);
    if (keeps_samples) bytes += sizeof(double) * batch * width;
    if (stats::has(what, stats::What::magnitudes)) {
      bytes += sizeof(stats::CellCounts::value_type) * std::min(batch * width, most_cells);
    }
  }
  return bytes;
}

/// The Gram matrix of a layer's samples, twice.
double spectrum_bytes(const stats::Needs& needs, double batch, double width) {
  const double side = std::min(batch, width);
  return stats::takes_long_to_seal(needs) ? 2 * sizeof(double) * side * (side + std::max(batch, width)) : 0;
}

double further_measurements(const stats::Needs& needs) {
  return double(std::ranges::count_if(
      needs.signals, [](stats::What what) { return stats::has_any(what, stats::further_parts); }));
}

double widest_signal(const nn::Widths& widths) {
  int widest = widths[0];
  for (int layer = 1; layer <= widths.depth(); ++layer) widest = std::max(widest, widths[layer]);
  return widest;
}

/// The points of a bundle that have a layer.
struct Present {
  int points = 0;
  double rows = 0;  ///< of one microbatch
};

/// One bundle on one stage, and what of it is in flight.
struct Work {
  Work(const nn::Bundle& of_bundle, Precision of, const Plan& under, int stages, int stage)
      : bundle(of_bundle),
        network(bundle.front()),
        points(int(bundle.size())),
        precision(of),
        plan(under),
        blocks{0, network.depth()},
        microbatches(microbatches_of(plan, bundle)),
        matrices(int(nn::parts_of(network).matrices.size())),
        gates(nn::gates_of(network)),
        tied(nn::block_of(network).steps_in_time),
        state_signals(int(nn::state_widths(network, 0).size())),
        taped_signals(nn::block_of(network).taped_signals(network)) {
    if (stages > 1) blocks = cut(bundle, std::min(stages, network.depth())).blocks_of(stage);
    for (const nn::NetworkSpec& point : bundle) batch = std::max(batch, point.batch);
    count_in_flight(stages, stage);
  }

  Present at(int layer) const {
    Present present{nn::points_with_layer(bundle, layer), 0};
    for (int point = 0; point < present.points; ++point) {
      const int tiles = padded_rows(bundle[std::size_t(point)].batch) / tile_rows;
      present.rows += double((tiles + microbatches - 1) / microbatches) * tile_rows;
    }
    return present;
  }

  void count_in_flight(int stages, int stage) {
    const double per_group = std::max(1.0, std::ceil(double(plan.points_per_group) / points));
    // A microbatch whose weight pass is put off holds as much as its tapes did; none is when a bundle begins.
    const double deferred =
        std::min<double>(double(plan.schedule->most_deferred(stages, stage)), microbatches - 1);
    const double window = double(plan.schedule->window(stages, stage)) + deferred;
    if (plan.schedule->flush == pipeline::Flush::per_bundle) {
      in_flight = std::min(window, double(microbatches));
      return;
    }
    const double all = std::min(window, microbatches * per_group);
    // A window need not begin with a bundle, so it may reach into one more.
    bundles = std::min(std::ceil((all - 1) / microbatches) + 1, per_group);
    in_flight = std::ceil(all / bundles);
  }

  double real_bytes() const { return precision == Precision::float64 ? 8 : 4; }
  double padded(int width) const {
    return precision == Precision::float64 ? padded_width<double>(width) : padded_width<float>(width);
  }
  double row_bytes(int width) const { return padded(width) * real_bytes() + sizeof(std::int32_t); }

  const nn::Bundle& bundle;
  const nn::NetworkSpec& network;  ///< the deepest
  int points;
  Precision precision;
  const Plan& plan;
  pipeline::BlockRange blocks;
  int microbatches;
  int matrices;          ///< of a block
  int gates;             ///< in each of them
  bool tied;             ///< every block has the weights of the first
  int state_signals;     ///< from block to block
  int taped_signals;     ///< of a block
  int batch = 1;         ///< the largest
  double in_flight = 1;  ///< microbatches of one bundle
  double bundles = 1;    ///< on this stage at one time
};

/// One layer of a Work.
struct LayerBytes {
  LayerBytes(const Work& work, int layer, Present present)
      : in(work.network.widths.fan_in(layer)), out(work.network.widths.fan_out(layer)) {
    const double rows = work.padded(work.gates * out);
    const double first = work.padded(in) * rows * work.real_bytes();
    const double widest_input = work.padded(std::max(out, work.network.recurrence.input_width));
    const double further = (work.matrices - 1) * widest_input * rows * work.real_bytes();
    const double weights = first + further;
    const double bias = work.network.init.has_bias(in) ? rows * work.real_bytes() : 0;
    const double numbers = weights + work.matrices * present.points * bias;
    const double objects = work.matrices * (block_object_bytes + present.points * block_point_bytes);
    block = objects + (work.tied ? 0 : numbers);
    // An orthogonal matrix comes from a square one in float64 and its factors.
    const bool orthogonal = work.network.init.scheme->distribution == nn::Distribution::orthogonal;
    generation = orthogonal ? 2.0 * sizeof(double) * std::max(in, out) * std::max(in, out) : 0;
    tied_weights = work.tied ? numbers : 0;
    tape = present.rows * (work.row_bytes(in) + (work.taped_signals - 1) * work.row_bytes(out)) +
           work.taped_signals * signal_object_bytes;
    measurement = present.points * (measurement_bytes + sizeof(double) * out +
                                    further_measurements(work.plan.needs) * further_measurement_bytes);
    kept = present.points * kept_signal_bytes(work.plan.needs, work.batch, out);
    const double unit_sums = present.points * 3.0 * (sizeof(double) + 1) * out;
    // Gram matrices keep the signals of the microbatches that have come back; the others are still tapes.
    const bool gram = nn::uses_gram_matrices(in, work.gates * out, work.batch);
    const double come_back = std::max(0.0, work.microbatches - work.in_flight);
    accumulated = measurement + kept + unit_sums + (gram ? come_back * tape : present.points * weights);
  }

  int in;
  int out;
  double block;         ///< with weights and biases, unless they are those of every block
  double generation;    ///< while the weights are made
  double tied_weights;  ///< with biases, of every block together
  double tape;          ///< of one microbatch
  double measurement;   ///< of all points, while one microbatch goes through
  double kept;          ///< of all points, by statistics of the whole batch
  double accumulated;   ///< of all points, from the first microbatch to the last
};

/// The directions of the points' Jacobians: what every point keeps, a message of all, and one at work with
/// its repeated tape. The singular values at the end take as much again in every thread.
double jacobian_bytes(const Work& work) {
  double kept = 0, at_work = 0, at_end = 0;
  for (const nn::NetworkSpec& point : work.bundle) {
    if (!point.jacobian) continue;
    const double k = nn::first_directions(point);
    const double width = widest_signal(point.widths);
    const double square = sizeof(double) * k * k;
    const double rows = sizeof(double) * k * width * work.state_signals;
    kept += square + 2 * (square + rows);
    const double row = work.row_bytes(int(width));
    at_work = std::max(
        at_work, 5 * square + 4 * rows + padded_rows(int(k)) * (work.taped_signals + 4 * work.gates) * row);
    at_end = std::max(at_end, 4 * square);
  }
  return kept + std::max(at_work, std::min(work.points, work.plan.most_threads) * at_end);
}

/// How many of the layers lie in the blocks.
double rows_between(const std::vector<int>& layers, pipeline::BlockRange blocks) {
  const auto first = std::ranges::lower_bound(layers, blocks.first + 1);
  return double(std::lower_bound(first, layers.end(), blocks.end + 1) - first);
}

/// What the choice of a Checkpointing rests on, and what does not depend on it.
struct Demand {
  explicit Demand(const Work& work) {
    const pipeline::Observation::Layers layers = layers_by_depth(work.plan.layers, work.bundle);
    const std::vector<bool> observed = pipeline::observed_blocks(layers, work.blocks);
    for (const nn::NetworkSpec& point : work.bundle) {
      rows += rows_between(layers.at(point.depth()), work.blocks) / work.points;
    }
    stage.blocks = work.blocks.size();
    stage.in_flight = work.in_flight;
    const double batch = padded_rows(work.batch);
    Present present = work.at(work.blocks.first + 1);
    for (int layer = work.blocks.first + 1; layer <= work.blocks.end; ++layer) {
      if (nn::points_with_layer(work.bundle, layer) != present.points) present = work.at(layer);
      const LayerBytes bytes(work, layer, present);
      add(work, bytes, present, observed[std::size_t(layer - 1 - work.blocks.first)]);
      const double widest = std::max(work.row_bytes(bytes.in), work.row_bytes(bytes.out));
      const double state = work.state_signals * (present.rows * widest + 2 * signal_object_bytes);
      stage.state_bytes = std::max(stage.state_bytes, state);
      const double gram = 8 * batch * (double(bytes.in) + double(work.gates) * bytes.out + 2 * batch);
      const double spectrum = spectrum_bytes(work.plan.needs, work.batch, bytes.out);
      at_work = std::max(at_work, work.plan.most_threads * std::max(gram, spectrum));
      // Layers that wait for their weight gradients; the signals of one pass stand in tiles and in a row.
      most_kept = std::max(most_kept, (2 * work.plan.most_threads + 2) * bytes.kept);
    }
    // Highest inside a block with gates: each gate beside its slope, and all of them stacked.
    at_work += (work.gates > 1 ? 2 + 4 * work.gates : 4) * stage.state_bytes / work.state_signals;
    at_work += tied_bytes(work, present) + most_kept;
    at_work += jacobian_bytes(work);
    waiting = (2 * work.plan.most_threads + 1) * stage.largest_tape_bytes;
  }

  /// Tied weights, and the running sum of their gradients: here, as a signal, and in a message.
  static double tied_bytes(const Work& work, Present present) {
    if (!work.tied) return 0;
    const int width = work.network.widths[0];
    const double sum = work.points * work.padded(work.gates * width) * work.row_bytes(width);
    return work.network.recurrence.stack * (3 * sum + LayerBytes(work, 1, present).tied_weights);
  }

  void add(const Work& work, const LayerBytes& bytes, Present present, bool is_observed) {
    const bool in_one_piece = work.microbatches == 1;
    const double tape = bytes.tape + (is_observed && in_one_piece ? bytes.measurement : 0);
    if (is_observed && !in_one_piece) accumulated += bytes.accumulated;
    stage.weight_bytes += bytes.block;
    stage.tape_bytes += tape;
    stage.largest_weight_bytes = std::max(stage.largest_weight_bytes, bytes.block + bytes.generation);
    stage.largest_tape_bytes = std::max(stage.largest_tape_bytes, tape);
    const double in = bytes.in;
    const double out = bytes.out;
    stage.forward_operations +=
        work.matrices * work.gates * present.rows * work.microbatches * out * (2 * in + operations_per_unit);
    if (work.tied && stage.generation_operations > 0) return;  // made once
    const double rows_of_weights = work.gates * out;
    stage.generation_operations +=
        work.matrices * in * rows_of_weights * operations_per_weight(work.network, in, rows_of_weights);
  }

  pipeline::StageDemand stage;
  double rows = 0;         ///< of a point's table, on average
  double accumulated = 0;  ///< over microbatches
  double most_kept = 0;    ///< of the layers at work, by statistics of the whole batch
  double at_work = 0;      ///< signals and Gram matrices of the layers at work
  double waiting = 0;      ///< signals whose Gram matrices are not yet taken, where tapes do not make room
};

/// Whether tables of so many rows go to the file in parts.
bool in_parts(const Work& work, double rows) { return rows > part_rows(work.plan); }

/// Tables of the points at work, or one part of each, and what waits to be written.
struct TableBytes {
  TableBytes(const Work& work, double rows) {
    const double table = rows * work.plan.row_bytes;
    const double held_rows = std::min(rows, double(part_rows(work.plan)));
    const double points = double(work.plan.points_per_group);
    at_work = std::min(points, work.bundles * work.points) * held_rows * work.plan.row_bytes;
    waiting = std::min({points * table - at_work, open_block_points * table, open_block_bytes});
    copy = std::min(work.plan.row_bytes, 6.0 * sizeof(double)) * held_rows;
  }

  double total() const { return at_work + waiting + copy; }

  double at_work = 0;
  double waiting = 0;
  double copy = 0;  ///< a column on its way, or small pieces
};

/// Predictions, as far as other things have not made room for them.
double theory_bytes(const Work& work, double rows, double network_bytes) {
  const double depth = work.network.depth();
  if (!in_parts(work, rows)) {  // the network is gone when those of the last bundle are made, side by side
    const double at_work = std::min(work.points, work.plan.most_threads) * prediction_work_bytes;
    return std::max(0.0, depth * (work.points * prediction_bytes + at_work) - network_bytes);
  }
  // Every point keeps its prediction, made for its first part: the other parts are not there yet.
  const double kept = work.bundles * work.points * depth * prediction_bytes;
  return kept + std::max(0.0, depth * prediction_work_bytes - TableBytes(work, rows).waiting);
}

/// The first stage keeps the data set it feeds the network from; where the data comes in step by step, each
/// does, and the samples of the batch.
double data_bytes(const Work& work) {
  const bool feeds_steps = work.network.recurrence.input == nn::StepInput::data;
  const bool reads = (work.blocks.first == 0 || feeds_steps) && work.network.data_set;
  const double samples = feeds_steps ? sizeof(float) * double(work.batch) * features_of(work.network) : 0;
  return samples + (reads ? work.network.data_set->bytes() : 0);
}

/// Extra operations for each of the points, weights generated once included.
double extra_per_point(const MemoryUse& use, const Demand& demand, int points) {
  return (pipeline::extra_operations(use.checkpointing, demand.stage) + demand.stage.generation_operations) /
         points;
}

MemoryUse decide(const Work& work, const Demand& demand) {
  MemoryUse use;
  use.process = work.plan.memory.process + libraries_at_work_bytes + data_bytes(work);
  use.gradients = work.bundles * demand.accumulated + demand.at_work;
  use.statistics =
      TableBytes(work, demand.rows).total() + bookkeeping_bytes * work.bundles * work.network.depth();
  use.checkpointing = pipeline::smallest(demand.stage);
  for (const double budget : {work.plan.memory.ample, work.plan.memory.limit}) {
    const double left = (budget - use.total()) / work.bundles;
    std::optional<pipeline::Checkpointing> fitting = pipeline::cheapest(demand.stage, left);
    if (fitting && !fitting->keeps_tapes()) fitting = pipeline::cheapest(demand.stage, left - demand.waiting);
    if (!fitting) continue;
    use.checkpointing = *fitting;
    break;
  }
  use.network = work.bundles * pipeline::bytes_of(use.checkpointing, demand.stage);
  if (!use.checkpointing.keeps_tapes()) use.gradients += demand.waiting;
  use.theory = theory_bytes(work, demand.rows, use.network / work.bundles);
  return use;
}

}  // namespace

MemoryUse memory_of(const nn::Bundle& bundle, Precision precision, const Plan& plan, int stages, int stage) {
  const Work work(bundle, precision, plan, stages, stage);
  return decide(work, Demand(work));
}

int bundled_points(const Plan& plan, const nn::NetworkSpec& network, Precision precision) {
  const double rows = padded_rows(network.batch);
  const double bytes =
      2 * sizeof(double) * rows * widest_signal(network.widths) * network.depth() / plan.layout.stages;
  const double wanted = std::min(efficient_rows / rows, most_stacked_bytes / bytes);
  int best = std::clamp(int(wanted), 1, plan.most_bundled);
  if (plan.memory.limit == MemoryBudget::unlimited) return best;

  double least = std::numeric_limits<double>::infinity();
  for (int points = best; points >= 1; points /= 2) {
    const nn::Bundle bundle(std::size_t(points), network);
    const Work work(bundle, precision, plan, plan.layout.shortest(), 0);
    const Demand demand(work);
    const MemoryUse use = decide(work, demand);
    if (use.total() > plan.memory.limit && points > 1) continue;
    const double cost = extra_per_point(use, demand, points);
    if (cost >= least) continue;
    least = cost;
    best = points;
    if (use.checkpointing == pipeline::Checkpointing{}) break;  // fewer points save nothing
  }
  return best;
}

}  // namespace gradflow::experiment

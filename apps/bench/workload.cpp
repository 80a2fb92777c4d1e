#include "workload.hpp"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "gradflow/experiment/plan.hpp"
#include "gradflow/nn/weight_gradient.hpp"
#include "gradflow/pipeline/executor.hpp"
#include "gradflow/stats/catalogue.hpp"
#include "rounds.hpp"

namespace gradflow::bench {
namespace {

nn::NetworkSpec network(const Workload& work, int point) {
  nn::NetworkSpec network;
  network.widths = nn::Widths::uniform(work.depth, work.width);
  network.activation = nn::Activation::named(work.activation);
  network.init = nn::Initialisation::make(work.scheme, 1 + 0.05 * point);
  network.batch = work.batch;
  network.seed = 1;
  return network;
}

}  // namespace

std::string Workload::name() const {
  return fmt::format("N = {}, batch {}, depth {}, {}{}{}", width, batch, depth, activation,
                     scheme == "gaussian" ? "" : ", " + scheme,
                     points > 1 ? fmt::format(", {} points", points) : "");
}

std::vector<nn::Bundle> Workload::bundles_of(int bundle) const {
  std::vector<nn::Bundle> bundles;
  for (int point = 0; point < points; ++point) {
    if (point % bundle == 0) bundles.emplace_back();
    bundles.back().push_back(network(*this, point));
  }
  return bundles;
}

double Workload::nominal_operations() const { return 6.0 * width * width * batch * depth * points; }

double Workload::executed_operations() const {
  const double n = width;
  const double rows = padded_rows(batch);
  const double product = 2 * n * n * rows;
  const double gradient = nn::uses_gram_matrices(width, width, batch) ? 2 * rows * (rows + 1) * n : product;
  return points * ((product + gradient) * depth + product * (depth - 1));
}

pipeline::Observation observation_of(const std::string& preset, int depth) {
  std::vector<int> layers(static_cast<std::size_t>(depth));
  std::iota(layers.begin(), layers.end(), 1);
  const bool only_gradients = preset == "gradients";
  stats::Selection selection = stats::of_preset(only_gradients ? "standard" : preset, dense_parts());
  if (only_gradients)
    std::erase_if(selection, [](const stats::Statistic* statistic) { return !statistic->needs.gradients; });
  return {{{depth, std::move(layers)}}, std::move(selection)};
}

double run(const mpi::Communicator& group, const std::vector<nn::Bundle>& bundles, int microbatches) {
  std::size_t next = 0;
  pipeline::Assignment<float> assignment;
  assignment.next = [&]() -> std::optional<pipeline::Job> {
    if (next == bundles.size()) return {};
    pipeline::Job job;
    job.bundle = bundles[next++];
    job.points.resize(job.bundle.size());
    job.microbatches = microbatches;
    job.observation = observation_of("standard", job.bundle.front().depth());
    return job;
  };
  assignment.stop = [] { return false; };
  assignment.partition = experiment::cut;
  assignment.done = [](const pipeline::Job&, pipeline::BlockRange, std::vector<pipeline::PointResult>) {};
  assignment.breathe = [] {};
  return seconds_of(
      [&] { pipeline::execute<float>(group, pipeline::schedule("streamed_1f1b"), assignment); });
}

}  // namespace gradflow::bench

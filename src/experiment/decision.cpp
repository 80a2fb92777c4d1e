#include "gradflow/experiment/decision.hpp"

#include "gradflow/experiment/cost_cache.hpp"

namespace gradflow::experiment {
namespace {

/// A decision as it travels.
struct Choice {
  int stages = 1;
  int microbatches = 1;
  int most_bundled = 1;
};

Choice choice_of(const Plan& plan) { return {plan.layout.stages, plan.microbatches, plan.most_bundled}; }

Request closed(Request request, const Choice& choice) {
  request.stages = choice.stages;
  // A count of the user's stays as it is: it may deserve a note.
  if (!request.microbatches) request.microbatches = choice.microbatches;
  if (!request.bundle) request.bundle = choice.most_bundled;
  return request;
}

bool has_choice(const sweep::Sweep& sweep, const Request& request, int ranks) {
  return requests_worth_a_forecast(sweep, request, ranks).size() > 1;
}

}  // namespace

Decision decide(const sweep::Sweep& sweep, const Request& request, const Circumstances& circumstances,
                const Costs& costs) {
  Forecaster forecaster(sweep, costs, circumstances.link);
  Decision decision;
  decision.candidates =
      candidates(sweep, request, circumstances.ranks, circumstances.threads_here, forecaster);
  decision.chosen = best(decision.candidates, request.memory.limit);
  return decision;
}

Plan agree_on_plan(const mpi::Communicator& world, const sweep::Sweep& sweep, const Request& request,
                   Circumstances circumstances) {
  circumstances.ranks = world.size();
  Plan plan = make_plan(sweep, request, world.size(), circumstances.threads_here);
  const int most_threads = int(world.max(plan.threads));
  plan.most_threads = most_threads;
  if (!has_choice(sweep, request, world.size())) return plan;

  Choice choice;
  std::vector<std::string> notes;
  if (world.rank() == 0) {
    const Costs costs = costs_for(cost_kinds(sweep), false, notes);
    choice = choice_of(decide(sweep, request, circumstances, costs).best().plan);
  }
  choice = world.broadcast(choice);
  plan = make_plan(sweep, closed(request, choice), world.size(), circumstances.threads_here);
  plan.most_threads = most_threads;
  plan.notes.insert(plan.notes.end(), notes.begin(), notes.end());
  return plan;
}

}  // namespace gradflow::experiment

#include "gradflow/nn/logits.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

#include "gradflow/nn/loss.hpp"

namespace gradflow::nn {
namespace {

/// Keeps a copy of the preactivation and passes everything on.
template <class Real>
class LogitKeeper final : public Observer<Real> {
 public:
  LogitKeeper(int rows, int width, Observer<Real>& next) : logits_(rows, width), next_(next) {}

  void begin_pass(const Stack& stack) override { next_.begin_pass(stack); }
  void end_pass() override { next_.end_pass(); }
  void see(Role role, const Signal<Real>& signal, const RowRange& tile) override {
    if (role == Role::preact) keep(signal, tile);
    next_.see(role, signal, tile);
  }
  void count_saturated(Role role, int point, std::int64_t elements) override {
    next_.count_saturated(role, point, elements);
  }
  void count_lost(Role role, int point, std::span<const std::int64_t> log2_magnitudes) override {
    next_.count_lost(role, point, log2_magnitudes);
  }

  bool has_seen() const { return has_seen_; }
  Signal<Real> logits() && { return std::move(logits_); }

 private:
  void keep(const Signal<Real>& signal, const RowRange& tile) {
    has_seen_ = true;
    for (int row = tile.first_row; row < tile.first_row + tile.samples; ++row) {
      std::ranges::copy(signal.values.row(row), logits_.values.row(row).begin());
      logits_.exponents[std::size_t(row)] = signal.exponents[std::size_t(row)];
    }
  }

  Signal<Real> logits_;
  Observer<Real>& next_;
  std::atomic<bool> has_seen_ = false;
};

}  // namespace

template <class Real>
State<Real> forward_into_loss(const NetworkSpec& network, int layer, const Block<Real>& last, State<Real> x,
                              const Stack& stack, Tape<Real>& tape, Observer<Real>& observer,
                              Failures& failures) {
  const bool wants_logits = takes_logits(network) && entry_of(network) == Entry::preactivation;
  if (!wants_logits) return last.forward(std::move(x), stack, tape, observer, failures);
  LogitKeeper<Real> keeper(rows_of(stack), network.widths[layer], observer);
  State<Real> y = last.forward(std::move(x), stack, tape, keeper, failures);
  if (keeper.has_seen()) y.front() = std::move(keeper).logits();
  return y;
}

template State<float> forward_into_loss(const NetworkSpec&, int, const Block<float>&, State<float>,
                                        const Stack&, Tape<float>&, Observer<float>&, Failures&);
template State<double> forward_into_loss(const NetworkSpec&, int, const Block<double>&, State<double>,
                                         const Stack&, Tape<double>&, Observer<double>&, Failures&);

}  // namespace gradflow::nn

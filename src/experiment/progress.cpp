#include "progress.hpp"

#include <algorithm>
#include <cstring>
#include <thread>

namespace gradflow::experiment {
namespace {

constexpr int report_tag = 7;
constexpr std::chrono::milliseconds between_reports(500);

}  // namespace

ProgressReports::ProgressReports(const mpi::Communicator& world, const pipeline::Layout& layout,
                                 std::uint64_t already, std::uint64_t points, Show show)
    : world_(world),
      layout_(layout),
      already_(already),
      points_(points),
      show_(std::move(show)),
      reports_(layout.place_of(world.rank()).stage == 0),
      of_group_(world.rank() == 0 ? std::size_t(layout.groups()) : 0) {
  if (world.rank() == 0) show_(already_, points_);
}

void ProgressReports::send(Report report) {
  mpi::Buffer bytes(sizeof report);
  std::memcpy(bytes.data(), &report, sizeof report);
  if (pending_) std::move(*pending_).wait();
  pending_ = world_.send(std::move(bytes), 0, report_tag);
  sent_ = report.finished;
}

void ProgressReports::collect() {
  while (std::optional<mpi::Message> message = world_.poll(report_tag)) {
    Report report;
    std::memcpy(&report, message->bytes.data(), sizeof report);
    of_group_[std::size_t(layout_.place_of(message->from).group)] = report;
  }
  std::uint64_t finished = already_;
  for (const Report& report : of_group_) finished += report.finished;
  show_(finished, points_);
}

void ProgressReports::update(std::uint64_t finished) {
  if (!reports_ || std::chrono::steady_clock::now() - last_ < between_reports) return;
  last_ = std::chrono::steady_clock::now();
  if (world_.rank() == 0) {
    of_group_[0] = {finished, false};
    collect();
  } else if (finished != sent_ && (!pending_ || pending_->ready())) {
    send({finished, false});
  }
}

bool ProgressReports::all_closed() const {
  return std::ranges::all_of(of_group_, [](const Report& report) { return report.last; });
}

void ProgressReports::close(std::uint64_t finished) {
  if (!reports_) return;
  if (world_.rank() != 0) {
    send({finished, true});
    std::move(*pending_).wait();
    return;
  }
  of_group_[0] = {finished, true};
  collect();
  while (!all_closed()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    collect();
  }
}

}  // namespace gradflow::experiment

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "gradflow/mpi/communicator.hpp"
#include "gradflow/pipeline/groups.hpp"

namespace gradflow::experiment {

/// How far the whole sweep is: the first rank of every group reports to rank 0, at most twice a second.
class ProgressReports {
 public:
  using Show = std::function<void(std::uint64_t finished, std::uint64_t points)>;

  /// @param already  points that were finished before this launch
  ProgressReports(const mpi::Communicator& world, const pipeline::Layout& layout, std::uint64_t already,
                  std::uint64_t points, Show show);

  /// Call it often. @param finished  points of this rank's group finished by this launch
  void update(std::uint64_t finished);

  /// The last word of this group; rank 0 stays until it has heard that of every group. @collective over
  /// `world`
  void close(std::uint64_t finished);

 private:
  struct Report {
    std::uint64_t finished = 0;
    bool last = false;
  };

  void send(Report report);
  void collect();
  bool all_closed() const;

  const mpi::Communicator& world_;
  const pipeline::Layout layout_;
  std::uint64_t already_;
  std::uint64_t points_;
  Show show_;
  bool reports_;                  ///< this rank is the first of its group
  std::vector<Report> of_group_;  ///< rank 0 only
  std::optional<mpi::PendingSend> pending_;
  std::uint64_t sent_ = 0;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace gradflow::experiment

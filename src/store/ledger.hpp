#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "gradflow/stats/table.hpp"
#include "gradflow/store/schema.hpp"
#include "piece.hpp"

namespace gradflow::store {

/// A point that every stage has accounted for: what is left to write of it, and its seal.
struct FinishedPoint {
  std::uint64_t point = 0;
  Status status = Status::not_done;
  std::uint64_t checksum = 0;
  Failure failure;
  std::vector<std::vector<double>>
      values;  ///< by column: whole rows, or empty if the stages wrote them themselves
};

/// What the first rank of a group knows of points that are not yet committed. Plain data, no file, no
/// messages.
class Ledger {
 public:
  /// @param schema  outlives the ledger
  Ledger(const FileSchema& schema, int stages) : schema_(schema), stages_(stages) {}

  void add(const Piece& piece);

  /// A point that no stage has begun and none will: every value is NaN.
  void add_failed(std::uint64_t point, Failure failure);

  bool has_finished() const noexcept { return !finished_.empty(); }
  std::size_t failed_values() const noexcept { return failed_values_; }  ///< of add_failed(), still held

  /// Points some stage has accounted for and another has not.
  std::size_t waiting() const noexcept { return open_.size(); }

  /// The points every stage has accounted for since the last call, in the order of their numbers.
  std::vector<FinishedPoint> take_finished();

 private:
  struct Open {
    int reported = 0;             ///< stages whose last part is here
    std::vector<int> layers;      ///< of the whole point
    std::vector<bool> accounted;  ///< which of them a stage has accounted for
    FinishedPoint point;
  };

  Open begun(std::uint64_t point) const;
  Open& entry_of(const Piece& piece);
  static void account_for_rows(Open& open, const Piece& piece);
  void take_values(Open& open, const Piece& piece) const;
  FinishedPoint sealed(Open open) const;

  const FileSchema& schema_;
  int stages_;
  std::map<std::uint64_t, Open> open_;
  std::map<std::uint64_t, FinishedPoint> finished_;
  std::size_t failed_values_ = 0;
};

}  // namespace gradflow::store

#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gradflow/core/failure.hpp"
#include "gradflow/mpi/communicator.hpp"
#include "gradflow/stats/table.hpp"
#include "gradflow/store/schema.hpp"

namespace gradflow::store {

struct StoreOptions {
  /// Continue a file measured under another numerics identity; from then on it says mixed_numerics.
  bool allow_mixed_numerics = false;
  bool retry_failed = false;      ///< points that failed are to be measured again
  std::vector<bool> wanted = {};  ///< points this launch is about, a bit for each; empty: all
  std::map<std::string, std::string> launch = {};  ///< this launch's value of each of schema.launch_facts

  /// A block of points is written when it reaches the first of these.
  int block_points = 64;
  std::size_t block_bytes = std::size_t(64) << 20;
  double block_seconds = 30;

  /// A stage's piece of a row below this size travels to the group's first rank, which writes whole rows.
  std::size_t smallest_piece_bytes = 4096;
  /// With more ranks than this only the groups' first ranks open the file, and every piece travels.
  int most_writers = 256;
};

/// Points by what has become of them.
struct Tally {
  std::uint64_t done = 0;
  std::uint64_t failed = 0;
};

/// The result file of a running sweep.
///
/// Nothing finished is lost: the skeleton is complete before it gets its name, measurements are raw writes
/// into space that already exists, and a point's status follows its data to the disk, never the other way
/// round. All ranks of a group add all points of the group in the same order, each with the rows of its own
/// layers.
class ResultStore {
 public:
  /// Creates the file, or continues the one that is there. @collective over `world` and over `group`
  ///
  /// A file of the same points is continued as it is; a file whose finished points all belong to this sweep
  /// gives them to a new skeleton; everything else is refused. On any error every rank throws and nothing new
  /// is left behind. Behind a symbolic link, to nothing too, the file that it names is locked and written.
  /// @param group  the ranks that measure points together; rank 0 of it is the first stage
  /// @throws UserError if the file belongs to another sweep, other statistics or other numerics, is being
  /// written by somebody else, is not ours, or cannot be written
  /// @throws CommonError if the file system or HDF5 fails
  static ResultStore open(const mpi::Communicator& world, const mpi::Communicator& group,
                          const std::filesystem::path& path, const FileSchema& schema,
                          StoreOptions options = {});

  ResultStore(ResultStore&&) noexcept;
  ResultStore& operator=(ResultStore&&) noexcept;
  /// Without close(), the process's hold on the file is left to its end: closing needs every rank.
  ~ResultStore();

  /// For each point, whether this launch is still to measure it. Failed points are not, unless asked for:
  /// they would fail again.
  const std::vector<bool>& unfinished() const;

  /// Takes some consecutive rows of a point that is not finished: a table too large to be held is handed over
  /// in parts, the rest with add(). Nobody sees them before the point is committed. Columns that are not per
  /// layer are ignored.
  /// @pre as add(), which follows @throws Error
  void add_part(std::uint64_t point, stats::PointTable&& rows);

  /// Takes this rank's rows of one point, or those that are left of them. A column that is not per layer is
  /// taken from the group's first rank. If any rank of the group reports a failure, the point counts as
  /// failed and its statistics become NaN, facts of the run excepted.
  /// @pre the rows and columns are those of the schema; the point was unfinished
  /// @throws Error if a block is full and cannot be written or committed, as the next five
  void add(std::uint64_t point, stats::PointTable&& rows, Failure failure);

  /// A point that cannot be begun, so that no rank of the group has rows of it. @pre the first rank of its
  /// group
  void add_failed(std::uint64_t point, Failure failure);

  /// Closes the open block: writes or sends its rows. Does not wait for other ranks. @throws Error
  void flush();

  /// Commits what other ranks have acknowledged; closes a block that is old enough. Call it often, also when
  /// idle. @throws Error
  void progress();

  /// Returns when every point this rank added is committed (on a group's first rank) or acknowledged (on the
  /// others).
  /// @collective over `group`, as long as its ranks added the same points
  /// @throws Error
  void finish();

  /// finish(), then closes the file and lets go of the lock. @collective over `world` @throws Error
  void close();

  /// Finished points that the file held when it was opened, of those this launch is about; the same on every
  /// rank.
  Tally found() const;

  /// Points of this rank's group that have been committed since; 0 except on the group's first rank.
  Tally tally() const;

 private:
  struct State;
  void take(std::uint64_t point, stats::PointTable&& rows, Failure failure, bool is_last);
  explicit ResultStore(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace gradflow::store

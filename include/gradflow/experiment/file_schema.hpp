#pragma once

#include "gradflow/experiment/row.hpp"
#include "gradflow/store/schema.hpp"
#include "gradflow/sweep/sweep.hpp"

namespace gradflow::experiment {

/// Everything the result file of this sweep holds beside its measurements. The sweep and the row must outlive
/// it.
store::FileSchema file_schema(const sweep::Sweep& sweep, const Row& row);

/// Bytes of the finished file, within a few per cent: statistics and coordinates. Beyond 2^64 for a foolish
/// sweep.
double predicted_file_bytes(const store::FileSchema& schema);

}  // namespace gradflow::experiment

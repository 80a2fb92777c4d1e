#pragma once

#include <filesystem>
#include <vector>

#include "gradflow/store/schema.hpp"
#include "ledger.hpp"

namespace gradflow::store {

/// The log beside a result file: FILE.h5.log.
std::filesystem::path failure_log_of(const std::filesystem::path& file);

/// Appends a line for each point among these that failed: when, which point with its swept values, the layer,
/// the sample and the reason, of which the file itself holds only a code. Makes the log with the first line.
/// Several groups may write at the same time. @throws Error
void log_failures(const std::filesystem::path& file, const FileSchema& schema,
                  const std::vector<FinishedPoint>& points);

}  // namespace gradflow::store

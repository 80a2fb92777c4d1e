#pragma once

#include <cstdint>

namespace gradflow {

/// Tells the allocator to keep freed memory instead of giving it back to the system: signals of the same
/// shapes come and go with every layer, and fresh pages cost as much as the arithmetic on them. Call it once,
/// in main.
void keep_freed_memory();

/// Bytes the processes of this host may use together: its memory, or the limit of a control group (version 1
/// or 2) this process is in, whichever is smallest.
std::uint64_t usable_memory();

/// Bytes of this process that are in memory now; 0 where the system does not tell.
std::uint64_t resident_memory();

}  // namespace gradflow

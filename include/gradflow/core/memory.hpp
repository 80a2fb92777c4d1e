#pragma once

namespace gradflow {

/// Tells the allocator to keep freed memory instead of giving it back to the system: signals of the same
/// shapes come and go with every layer, and fresh pages cost as much as the arithmetic on them. Call it once,
/// in main.
void keep_freed_memory();

}  // namespace gradflow

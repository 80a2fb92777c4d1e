#pragma once

#include "gradflow/sweep/schema.hpp"

namespace gradflow::experiment {

/// Every key of a sweep file, with its default, its meaning and the names it may hold. A new key is one entry
/// here.
const sweep::Schema& sweep_schema();

}  // namespace gradflow::experiment

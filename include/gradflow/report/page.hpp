#pragma once

#include <ostream>

#include "gradflow/store/result_file.hpp"

namespace gradflow::report {

/// One self-contained HTML page: pictures, verdicts, how to read them, where the numbers come from. Points
/// may be missing. @throws Error if `out` cannot be written
void write_html(const store::ResultFile& file, std::ostream& out);

/// The page's main picture alone, as an SVG document: the gradient norm by layer, theory dashed.
void write_profile_svg(const store::ResultFile& file, std::ostream& out);

}  // namespace gradflow::report

#pragma once

namespace gradflow::report {

/// The look of the page. Verdicts have the colours of the heat map.
inline constexpr auto page_style = R"(
body { font: 16px/1.5 Helvetica, Arial, sans-serif; color: #222; max-width: 1000px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.7em; margin-bottom: 0.2em; }
h2 { font-size: 1.2em; margin: 2em 0 0.4em; border-bottom: 1px solid #ddd; padding-bottom: 0.2em; }
h3 { font-size: 1em; }
.lead { font-size: 1.1em; color: #444; }
figure { margin: 0; }
figure svg { max-width: 100%; height: auto; }
figcaption { color: #444; font-size: 0.93em; }
table { border-collapse: collapse; font-size: 0.85em; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.25em 0.7em 0.25em 0; border-bottom: 1px solid #eee; }
td { font-variant-numeric: tabular-nums; }
.provenance td { overflow-wrap: anywhere; }
.provenance td:first-child { white-space: nowrap; padding-right: 2em; }
.findings td:nth-child(3) { white-space: nowrap; }
ul { padding-left: 1.2em; }
pre { background: #f6f6f6; padding: 1em; overflow-x: auto; font-size: 0.85em; }
.fate { border-radius: 3px; padding: 0.05em 0.45em; background: #ddd; white-space: nowrap; }
.vanishes { background: #2166ac; color: #fff; }
.explodes { background: #b2182b; color: #fff; }
.trainable { background: #dcefd7; }
.steady { background: #a6d8a0; }
.dead { background: #444; color: #fff; }
)";

}  // namespace gradflow::report

#pragma once

/// Names that gradflow itself gives to variables, axes and attributes of a result file.
namespace gradflow::store::names {

inline constexpr auto point = "point";
inline constexpr auto layer = "layer";
inline constexpr auto obs = "obs";
inline constexpr auto row_size = "row_size";
inline constexpr auto row_start = "row_start";
inline constexpr auto point_index = "point_index";

inline constexpr auto status = "status";
inline constexpr auto checksum = "checksum";
inline constexpr auto point_hash = "point_hash";
inline constexpr auto failure_code = "failure_code";
inline constexpr auto failure_layer = "failure_layer";

inline constexpr auto launch = "launch";
inline constexpr auto launch_text = "launch_text";
inline constexpr auto launch_count = "launch_count";
inline constexpr auto launch_found = "launch_found";    ///< finished points when a launch began
inline constexpr auto launch_wanted = "launch_wanted";  ///< points it had to measure

inline constexpr auto schema = "gradflow_schema";
inline constexpr auto numerics_identity = "numerics_identity";
inline constexpr auto openblas_core = "openblas_core";
inline constexpr auto run_fact = "run_fact";
inline constexpr auto finalized = "gradflow_finalized";  ///< compressed for archiving: rows are not writable
inline constexpr auto setting = "setting";

/// What a variable is for; the attribute by which a reader sorts them.
inline constexpr auto role = "gradflow_role";
namespace roles {
inline constexpr auto statistic = "statistic";
inline constexpr auto swept = "swept key";
inline constexpr auto fixed = "fixed key";
inline constexpr auto record = "record";
inline constexpr auto axis = "axis";
inline constexpr auto launch = "launch";
}  // namespace roles

}  // namespace gradflow::store::names

#include "section.hpp"

#include <array>

namespace gradflow::bench {
namespace {

constexpr std::array catalogue{
    Section{"gemm", measure_gemm, true, "OpenBLAS sgemm on the shapes of the engine: the limit"},
    Section{"points", measure_points, true,
            "whole points with the standard statistics, alone and stacked, over that limit"},
    Section{"parts", measure_parts, true, "where the time of a point goes, and what statistics cost"},
    Section{"random", measure_random_numbers, true, "random numbers on one core"},
    Section{"activations", measure_activations, true, "phi and phi' on one core, z ~ N(0, 1)"},
    Section{"store", measure_store, true,
            "points through the result file, from the first to the last commit"},
    Section{"scaling", measure_scaling, true,
            "gradflow run on a generated sweep, over threads, ranks and stages"},
    Section{"makespan", measure_makespan, true, "the schedule simulator against the clock"},
    Section{"pytorch", measure_pytorch, false, "the same points in PyTorch, with the same statistics"},
};

}  // namespace

std::span<const Section> sections() { return catalogue; }

}  // namespace gradflow::bench

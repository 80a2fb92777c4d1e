#pragma once

namespace gradflow::apps {

/// Sees to it that OpenBLAS uses one thread and kernels that fit the CPU. It reads its environment when it is
/// loaded, so the program may start itself again, once, with OPENBLAS_CORETYPE set. A core type the user
/// chose is kept.
///
/// OpenBLAS 0.3.21 does not know CPUs younger than itself and falls back to kernels of 2004, four times
/// slower.
/// @param argv  of main; call it before MPI
void choose_blas_kernels(char** argv);

}  // namespace gradflow::apps

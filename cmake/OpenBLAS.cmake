# The pthread build of OpenBLAS as the target OpenBLAS::pthread.
#
# The serial build is not thread-safe and the OpenMP build starts a team per calling thread; both give wrong results
# or speed under oneTBB. The library found is asked itself which build it is.
find_path(OPENBLAS_INCLUDE_DIR openblas_config.h PATH_SUFFIXES openblas-pthread x86_64-linux-gnu/openblas-pthread openblas)
find_library(OPENBLAS_LIBRARY openblas PATH_SUFFIXES openblas-pthread)
if(NOT OPENBLAS_INCLUDE_DIR OR NOT OPENBLAS_LIBRARY)
  message(FATAL_ERROR "OpenBLAS not found: apt-get install libopenblas-pthread-dev")
endif()

file(WRITE ${CMAKE_BINARY_DIR}/openblas_build.c
     "int openblas_get_parallel(void); int main(void) { return openblas_get_parallel(); }")
try_run(openblas_parallel openblas_compiled ${CMAKE_BINARY_DIR} ${CMAKE_BINARY_DIR}/openblas_build.c
        LINK_LIBRARIES ${OPENBLAS_LIBRARY})
if(NOT openblas_compiled OR NOT openblas_parallel EQUAL 1)
  message(FATAL_ERROR "${OPENBLAS_LIBRARY} is not the pthread build of OpenBLAS (openblas_get_parallel() = "
                      "${openblas_parallel}, wanted 1): apt-get install libopenblas-pthread-dev and select it with "
                      "update-alternatives --config libopenblas.so-x86_64-linux-gnu")
endif()

add_library(OpenBLAS::pthread INTERFACE IMPORTED)
target_include_directories(OpenBLAS::pthread INTERFACE ${OPENBLAS_INCLUDE_DIR})
target_link_libraries(OpenBLAS::pthread INTERFACE ${OPENBLAS_LIBRARY})

# OpenBLAS 0.3.21 gives CPUs younger than itself kernels of 2004. The program mends that when it starts
# (apps/gradflow/blas_kernels.cpp); the tests, being programs of their own, get the same choice from CTest.
file(WRITE ${CMAKE_BINARY_DIR}/openblas_core.c [[
#include <stdio.h>
#include <string.h>
char* openblas_get_corename(void);
int main(void) {
  const char* core = openblas_get_corename();
  const int fallback = !strcmp(core, "Prescott") || !strcmp(core, "Core2") || !strcmp(core, "Generic");
#if defined(__x86_64__)
  if (fallback && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) core = "SkylakeX";
  else if (fallback && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) core = "Haswell";
#endif
  printf("%s", core);
  return 0;
}
]])
try_run(openblas_ran openblas_compiled ${CMAKE_BINARY_DIR} ${CMAKE_BINARY_DIR}/openblas_core.c
        LINK_LIBRARIES ${OPENBLAS_LIBRARY} RUN_OUTPUT_VARIABLE GRADFLOW_OPENBLAS_CORETYPE)
message(STATUS "OpenBLAS kernels: ${GRADFLOW_OPENBLAS_CORETYPE}")

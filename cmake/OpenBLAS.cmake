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

# gradflow_test(NAME SOURCES files... LIBRARIES targets... [RANKS n...] [TIMEOUT seconds])
#
# One GoogleTest program. Without RANKS it runs alone, one CTest entry per TEST. With RANKS it runs under mpirun, one
# CTest entry per rank count, named NAME.ranks_N and labelled ranks_N; a failure on any rank fails the entry.
find_package(GTest)
if(NOT GTest_FOUND)
  message(FATAL_ERROR "GoogleTest not found: apt-get install libgtest-dev libgmock-dev")
endif()
include(GoogleTest)

# What every test runs under. The user may be root in a container, and there may be more ranks than cores.
set(GRADFLOW_TEST_ENVIRONMENT
  OPENBLAS_NUM_THREADS=1 OPENBLAS_CORETYPE=${GRADFLOW_OPENBLAS_CORETYPE}
  OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
  OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_mpi_yield_when_idle=1
  XDG_CACHE_HOME=${CMAKE_BINARY_DIR}/cache)

# Under a sanitizer everything takes longer, also what a test script waits for.
set(GRADFLOW_TIMEOUT_FACTOR 1)
if(GRADFLOW_SANITIZE)
  set(GRADFLOW_TIMEOUT_FACTOR 10)
endif()
list(APPEND GRADFLOW_TEST_ENVIRONMENT GRADFLOW_TIMEOUT_FACTOR=${GRADFLOW_TIMEOUT_FACTOR})

# set_timeout(SECONDS TESTS...): how long each may run, longer under a sanitizer.
function(set_timeout seconds)
  math(EXPR seconds "${seconds} * ${GRADFLOW_TIMEOUT_FACTOR}")
  set_tests_properties(${ARGN} PROPERTIES TIMEOUT ${seconds})
endfunction()

# ThreadSanitizer sees only code that was compiled for it: what MPI, HDF5 and OpenBLAS do among themselves it cannot
# judge. What oneTBB orders it is told in src/core/parallel.cpp.
if(GRADFLOW_SANITIZE STREQUAL thread)
  list(APPEND GRADFLOW_TEST_ENVIRONMENT
    TSAN_OPTIONS=ignore_noninstrumented_modules=1:suppressions=${CMAKE_SOURCE_DIR}/tests/tsan.supp)
endif()

# Open MPI leaves memory behind in plugins that are unloaded before the leak check, where no suppression can name them:
# leaks are looked for where MPI does not run.
set(GRADFLOW_MPI_TEST_ENVIRONMENT ${GRADFLOW_TEST_ENVIRONMENT} ASAN_OPTIONS=detect_leaks=0)
set(GRADFLOW_MODULES_WITHOUT_MPI gradflow_core gradflow_nn gradflow_stats gradflow_sweep gradflow_theory)

function(gradflow_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;LIBRARIES;RANKS" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  math(EXPR arg_TIMEOUT "${arg_TIMEOUT} * ${GRADFLOW_TIMEOUT_FACTOR}")
  string(REPLACE "." "_" target ${name})
  add_executable(${target}_test ${arg_SOURCES})
  target_link_libraries(${target}_test PRIVATE ${arg_LIBRARIES} GTest::gmock)
  target_include_directories(${target}_test PRIVATE ${CMAKE_SOURCE_DIR}/tests)

  set(environment ${GRADFLOW_MPI_TEST_ENVIRONMENT})
  if(arg_LIBRARIES IN_LIST GRADFLOW_MODULES_WITHOUT_MPI)
    set(environment ${GRADFLOW_TEST_ENVIRONMENT})
  endif()
  if(NOT arg_RANKS)
    target_link_libraries(${target}_test PRIVATE GTest::gtest_main)
    # Of a list of variables gtest_discover_tests passes on the first alone.
    set_target_properties(${target}_test PROPERTIES CROSSCOMPILING_EMULATOR "env;${environment}")
    gtest_discover_tests(${target}_test TEST_PREFIX ${name}. DISCOVERY_TIMEOUT 60
                         PROPERTIES TIMEOUT ${arg_TIMEOUT})
    return()
  endif()

  target_sources(${target}_test PRIVATE ${CMAKE_SOURCE_DIR}/tests/mpi_main.cpp)
  target_link_libraries(${target}_test PRIVATE GTest::gtest MPI::MPI_CXX)
  foreach(ranks ${arg_RANKS})
    add_test(NAME ${name}.ranks_${ranks}
      COMMAND ${MPIEXEC_EXECUTABLE} -q -n ${ranks} --oversubscribe --bind-to none $<TARGET_FILE:${target}_test>)
    set_tests_properties(${name}.ranks_${ranks} PROPERTIES
      LABELS ranks_${ranks} PROCESSORS 2 TIMEOUT ${arg_TIMEOUT}
      ENVIRONMENT "${environment}")
  endforeach()
endfunction()

# Finds every library gradflow stands on. A missing one stops here and names the Debian package to install.

function(require_header name header package)
  find_path(GRADFLOW_${name}_INCLUDE ${header})
  if(NOT GRADFLOW_${name}_INCLUDE)
    message(FATAL_ERROR "${name} not found: apt-get install ${package}")
  endif()
endfunction()

function(require_library name library package)
  find_library(GRADFLOW_${name}_LIBRARY ${library})
  if(NOT GRADFLOW_${name}_LIBRARY)
    message(FATAL_ERROR "${name} not found: apt-get install ${package}")
  endif()
endfunction()

find_package(MPI COMPONENTS CXX)
if(NOT MPI_CXX_FOUND)
  message(FATAL_ERROR "MPI not found: apt-get install libopenmpi-dev openmpi-bin")
endif()

# Only the C interface: HDF5's C++ component would pull the serial library in beside the parallel one.
set(HDF5_PREFER_PARALLEL TRUE)
find_package(HDF5 COMPONENTS C HL)
if(NOT HDF5_FOUND OR NOT HDF5_IS_PARALLEL)
  message(FATAL_ERROR "parallel HDF5 not found: apt-get install libhdf5-openmpi-dev")
endif()

find_package(TBB)
if(NOT TBB_FOUND)
  message(FATAL_ERROR "oneTBB not found: apt-get install libtbb-dev")
endif()
find_package(fmt)
if(NOT fmt_FOUND)
  message(FATAL_ERROR "fmt not found: apt-get install libfmt-dev")
endif()
find_package(nlohmann_json)
if(NOT nlohmann_json_FOUND)
  message(FATAL_ERROR "nlohmann-json not found: apt-get install nlohmann-json3-dev")
endif()
find_package(CLI11)
if(NOT CLI11_FOUND)
  message(FATAL_ERROR "CLI11 not found: apt-get install libcli11-dev")
endif()
find_package(ZLIB)
if(NOT ZLIB_FOUND)
  message(FATAL_ERROR "zlib not found: apt-get install zlib1g-dev")
endif()
require_header(tomlplusplus toml++/toml.h libtomlplusplus-dev)
require_header(Random123 Random123/philox.h librandom123-dev)
require_header(Boost boost/math/special_functions/digamma.hpp libboost-dev)
require_header(Highway hwy/highway.h libhwy-dev)
require_header(SLEEF sleef.h libsleef-dev)
require_library(SLEEF sleef libsleef-dev)
require_header(xxHash xxhash.h libxxhash-dev)

include(OpenBLAS)

# The instruction set is part of the numerics identity, so it is chosen once, for every translation unit.
add_library(gradflow_options INTERFACE)
target_compile_features(gradflow_options INTERFACE cxx_std_20)
target_include_directories(gradflow_options INTERFACE ${CMAKE_SOURCE_DIR}/include)
target_compile_options(gradflow_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -fno-math-errno -ffp-contract=off
  $<$<BOOL:${GRADFLOW_WARNINGS_AS_ERRORS}>:-Werror>
  $<IF:$<BOOL:${GRADFLOW_NATIVE}>,-march=native,-march=x86-64-v2>)
# Highway 1.0.3 refuses -march=native on machines with half-precision units unless only the static target is built.
target_compile_definitions(gradflow_options INTERFACE HWY_COMPILE_ONLY_STATIC HWY_DISABLE_PCLMUL_AES)
if(GRADFLOW_SANITIZE)
  target_compile_options(gradflow_options INTERFACE -fsanitize=${GRADFLOW_SANITIZE} -fno-sanitize-recover=all
                                                    -fno-omit-frame-pointer)
  target_link_options(gradflow_options INTERFACE -fsanitize=${GRADFLOW_SANITIZE})
endif()
if(GRADFLOW_FUZZ)
  target_compile_options(gradflow_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

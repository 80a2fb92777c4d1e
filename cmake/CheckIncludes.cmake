# Fails if a file of MODULE includes a gradflow module that is neither MODULE nor one of ALLOWED, a library that other
# modules are the only doors to or that has no door, or a header that another module keeps to itself.
cmake_minimum_required(VERSION 3.25)

# HEADERS "and who may include them"
set(doors
  "mpi.h" "mpi"
  "hdf5(_hl)?[.]h|H5.*[.]h" "hdf5"
  "cblas.h|openblas.*" "core"
  "(oneapi|tbb)/.*" "core"
  "sleef.h|hwy/.*" "core"
  "xxhash.h" "core"
  "Random123/.*" "core sweep"
  "toml[+][+]/.*" "sweep"
  "boost/.*" "theory"
  "zlib.h" "data"
  "nlohmann/.*" "pipeline experiment report"
  "CLI/.*" "apps")
# The system and fmt need no door. Headers of the language have neither a suffix nor a folder.
set(without_door "fmt/.*|(sys/.*|fcntl|malloc|sched|signal|spawn|unistd)[.]h|[a-z_0-9]+")
# It asks every library for its version.
set(may_include_all src/experiment/identity.cpp)

file(GLOB_RECURSE files ${ROOT}/include/gradflow/${MODULE}/*.hpp ${ROOT}/src/${MODULE}/*.cpp ${ROOT}/src/${MODULE}/*.hpp)
set(problems "")
foreach(file ${files})
  file(RELATIVE_PATH path ${ROOT} ${file})
  file(STRINGS ${file} lines REGEX "^ *# *include *[\"<]gradflow/")
  foreach(line ${lines})
    string(REGEX REPLACE ".*gradflow/([a-z0-9_]+)/.*" "\\1" included "${line}")
    if(NOT included STREQUAL MODULE AND NOT included IN_LIST ALLOWED)
      string(APPEND problems "${path}: ${MODULE} must not include ${included} (allowed: ${ALLOWED})\n")
    endif()
  endforeach()

  if(path IN_LIST may_include_all)
    continue()
  endif()
  file(STRINGS ${file} lines REGEX "^ *# *include *[\"<]")
  foreach(line ${lines})
    string(REGEX REPLACE ".*[\"<](.*)[\">].*" "\\1" included "${line}")
    cmake_path(GET file PARENT_PATH folder)
    if(included MATCHES "^[.][.]/" OR (line MATCHES "\"[^/]*\"" AND NOT EXISTS ${folder}/${included}))
      string(APPEND problems "${path}: ${included} is neither public nor in this folder\n")
    endif()
    set(has_door FALSE)
    set(rest ${doors})
    while(rest)
      list(POP_FRONT rest headers modules)
      string(REPLACE " " ";" modules "${modules}")
      if(included MATCHES "^(${headers})$")
        set(has_door TRUE)
        if(NOT MODULE IN_LIST modules)
          string(APPEND problems "${path}: ${included} belongs to ${modules}, not to ${MODULE}\n")
        endif()
      endif()
    endwhile()
    if(line MATCHES "<" AND NOT has_door AND NOT included MATCHES "^(gradflow/.*|${without_door})$")
      string(APPEND problems "${path}: ${included} is of a library without a door in cmake/CheckIncludes.cmake\n")
    endif()
  endforeach()
endforeach()
if(problems)
  message(FATAL_ERROR "${problems}")
endif()

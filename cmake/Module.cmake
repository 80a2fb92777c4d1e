# gradflow_module(NAME MAY_INCLUDE modules... LIBRARIES targets...)
#
# Builds src/NAME/*.cpp as gradflow_NAME, compiles every public header of include/gradflow/NAME alone, and records which
# modules NAME may include: the test house.NAME fails on any other #include.
function(gradflow_module name)
  cmake_parse_arguments(arg "" "" "MAY_INCLUDE;LIBRARIES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cpp)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/include/gradflow/${name}/*.hpp)

  foreach(header ${headers})
    file(RELATIVE_PATH path ${CMAKE_SOURCE_DIR}/include ${header})
    string(REPLACE "/" "_" stem ${path})
    set(alone ${CMAKE_BINARY_DIR}/headers/${stem}.cpp)
    file(CONFIGURE OUTPUT ${alone} CONTENT "#include \"${path}\"  // compiles alone\n" @ONLY)
    list(APPEND alone_sources ${alone})
  endforeach()

  if(NOT sources AND NOT headers)
    return()
  endif()
  add_library(gradflow_${name} STATIC ${sources} ${alone_sources})
  target_link_libraries(gradflow_${name} PUBLIC gradflow_options ${arg_LIBRARIES})
  foreach(module ${arg_MAY_INCLUDE})
    target_link_libraries(gradflow_${name} PUBLIC gradflow_${module})
  endforeach()

  add_test(NAME house.${name}
    COMMAND ${CMAKE_COMMAND} -DROOT=${CMAKE_SOURCE_DIR} -DMODULE=${name} "-DALLOWED=${arg_MAY_INCLUDE}"
            -P ${CMAKE_SOURCE_DIR}/cmake/CheckIncludes.cmake)
endfunction()

# gradflow_module(NAME MAY_INCLUDE modules... LIBRARIES targets...)
#
# Builds src/NAME/*.cpp as gradflow_NAME. With the tests: compiles every public header of include/gradflow/NAME alone, and
# adds the test house.NAME, which fails on an #include of a module that NAME may not include.
function(gradflow_module name)
  cmake_parse_arguments(arg "" "" "MAY_INCLUDE;LIBRARIES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cpp)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/include/gradflow/${name}/*.hpp)

  add_library(gradflow_${name} STATIC ${sources})
  target_link_libraries(gradflow_${name} PUBLIC gradflow_options ${arg_LIBRARIES})
  foreach(module ${arg_MAY_INCLUDE})
    if(NOT TARGET gradflow_${module})  # a cycle would need one that comes later
      message(FATAL_ERROR "module ${name} may include ${module}, which does not stand below it")
    endif()
    target_link_libraries(gradflow_${name} PUBLIC gradflow_${module})
  endforeach()
  if(NOT GRADFLOW_TESTS)
    return()
  endif()

  foreach(header ${headers})
    file(RELATIVE_PATH path ${CMAKE_SOURCE_DIR}/include ${header})
    string(REPLACE "/" "_" stem ${path})
    set(alone ${CMAKE_BINARY_DIR}/headers/${stem}.cpp)
    file(CONFIGURE OUTPUT ${alone} CONTENT "#include \"${path}\"  // compiles alone\n" @ONLY)
    list(APPEND alone_sources ${alone})
  endforeach()
  add_library(gradflow_${name}_headers OBJECT ${alone_sources})
  target_link_libraries(gradflow_${name}_headers PRIVATE gradflow_${name})
  target_compile_options(gradflow_${name}_headers PRIVATE -O0)
  set_target_properties(gradflow_${name}_headers PROPERTIES UNITY_BUILD OFF)

  add_test(NAME house.${name}
    COMMAND ${CMAKE_COMMAND} -DROOT=${CMAKE_SOURCE_DIR} -DMODULE=${name} "-DALLOWED=${arg_MAY_INCLUDE}"
            -P ${CMAKE_SOURCE_DIR}/cmake/CheckIncludes.cmake)
endfunction()

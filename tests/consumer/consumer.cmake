# Installs from BUILD into WORK/prefix, takes the example out of README, then configures, builds and
# runs tests/consumer/project, which knows nothing but the prefix. Then the same with README's
# kernel and the installed program.
function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ECHO STDOUT RESULT_VARIABLE code
                  OUTPUT_VARIABLE output ECHO_OUTPUT_VARIABLE)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "${ARGV0} failed: ${code}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

# Writes the block of README between <!-- NAME --> and its end.
function(extract name file)
  file(READ ${README} readme)
  if(NOT readme MATCHES "<!-- ${name} -->\n```[a-z]+\n(.*)```\n<!-- end of ${name} -->")
    message(FATAL_ERROR "${README} has no code between <!-- ${name} --> and its end")
  endif()
  file(WRITE ${file} "${CMAKE_MATCH_1}")
endfunction()

# True of output that says what a compiled kernel uses: the example ends well without a GPU, but not
# without having compiled.
function(expect_registers)
  if(NOT output MATCHES "registers")
    message(FATAL_ERROR "nothing was compiled")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
extract(example ${WORK}/example.cpp)
extract(kernel ${WORK}/scale.cu)

# Every installed header in one file: none may include what isn't installed.
file(GLOB_RECURSE headers RELATIVE ${WORK}/prefix/include/flashmoe_science
     ${WORK}/prefix/include/flashmoe_science/*.h)
list(SORT headers)
list(TRANSFORM headers REPLACE "(.+)" "#include \"\\1\"\n")
string(CONCAT text ${headers})
file(WRITE ${WORK}/every_header.cpp "${text}")

set(ENV{FMS_CACHE_DIR} ${WORK}/store)
run(${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/project -B ${WORK}/build -G ${GENERATOR}
    -DCMAKE_PREFIX_PATH=${WORK}/prefix -DSOURCES=${WORK})
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${WORK}/build/example)
expect_registers()

run(${WORK}/prefix/bin/fms compile ${WORK}/scale.cu -p T=bfloat16 -p kN=1000 --target sm_90a
    --emit resources)
expect_registers()

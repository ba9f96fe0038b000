# Configures a scratch project that has this one as a part: every source is found, and only the consumer's targets and ours
# are there, no tests.
set(stage ${BUILD}/part_of_a_project)
file(REMOVE_RECURSE ${stage})
file(WRITE ${stage}/CMakeLists.txt "cmake_minimum_required(VERSION 3.22)
project(part LANGUAGES CXX)
add_subdirectory(${SOURCE} kronbit)
add_executable(consumer ${SOURCE}/tests/consumer/main.cpp)
target_link_libraries(consumer PRIVATE kronbit::kronbit)
if(TARGET test_tensor OR TARGET example)
  message(FATAL_ERROR \"wanted no tests in another project\")
endif()
")
execute_process(COMMAND ${CMAKE_COMMAND} -S ${stage} -B ${stage}/build -DCMAKE_CXX_COMPILER=${CXX} -DKRONBIT_CUDA=OFF RESULT_VARIABLE code
                OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(NOT code EQUAL 0)
  message(FATAL_ERROR "${output}")
endif()

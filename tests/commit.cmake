# What apps/kronbit/commit.cmake says of sources in a repository, in an archive made from it, in a folder of their own,
# and within somebody else's repository; and that it leaves a file alone that is right.
# cmake -DSOURCE=... -DBUILD=... -P commit.cmake
set(stage ${BUILD}/commit_test)
file(REMOVE_RECURSE ${stage})
set(said ${stage}/said.cpp)

function(expect_commit sources pattern)
  execute_process(COMMAND ${CMAKE_COMMAND} -DSOURCE=${sources} -DOUT=${said} -P ${sources}/apps/kronbit/commit.cmake
                  COMMAND_ERROR_IS_FATAL ANY)
  file(READ ${said} text)
  if(NOT text MATCHES "return \"${pattern}\"")
    message(FATAL_ERROR "${sources}: wanted \"${pattern}\", got: ${text}")
  endif()
endfunction()

function(git)
  execute_process(COMMAND git -c user.name=n -c user.email=e ${ARGN} WORKING_DIRECTORY ${stage}/repository
                  OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
endfunction()

foreach(folder repository alone repository/part)
  file(COPY ${SOURCE}/apps/kronbit/commit.cmake DESTINATION ${stage}/${folder}/apps/kronbit)
endforeach()
expect_commit(${stage}/alone unknown)

find_program(git git)
if(NOT git)
  message(STATUS "no git here: only sources without it were looked at")
  return()
endif()
file(COPY ${SOURCE}/.gitattributes DESTINATION ${stage}/repository)
git(init -q)
git(add .)
git(commit -q -m first)
expect_commit(${stage}/repository "[0-9a-f]+")
file(TIMESTAMP ${said} before "%s")
execute_process(COMMAND ${CMAKE_COMMAND} -E sleep 1.1)
expect_commit(${stage}/repository "[0-9a-f]+")
file(TIMESTAMP ${said} after "%s")
if(NOT before STREQUAL after)
  message(FATAL_ERROR "the file was written again though the commit is the same")
endif()
expect_commit(${stage}/repository/part unknown)
git(archive -o ${stage}/sources.tar HEAD)
file(APPEND ${stage}/repository/apps/kronbit/commit.cmake "# changed\n")
expect_commit(${stage}/repository "[0-9a-f]+-dirty")
file(ARCHIVE_EXTRACT INPUT ${stage}/sources.tar DESTINATION ${stage}/archive)
expect_commit(${stage}/archive "[0-9a-f]+")

# Which commit the sources are, as a C++ file:  cmake -DSOURCE=folder -DOUT=commit.cpp -P commit.cmake
# Every build runs it, but it touches the file only when the answer is another one. "unknown" where neither git nor an
# archive made by it (.gitattributes) can tell.
set(commit "$Format:%h$")
if(commit MATCHES "Format:")
  set(commit unknown)
  # Sources that lie within somebody else's repository are not of its commit.
  execute_process(COMMAND git rev-parse --show-prefix WORKING_DIRECTORY ${SOURCE} RESULT_VARIABLE code
                  OUTPUT_VARIABLE below OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(code STREQUAL 0 AND below STREQUAL "")
    execute_process(COMMAND git describe --always --dirty WORKING_DIRECTORY ${SOURCE} RESULT_VARIABLE code
                    OUTPUT_VARIABLE said OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(code STREQUAL 0)
      set(commit ${said})
    endif()
  endif()
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT [[
#include "apps/kronbit/made_by.h"
const char* kronbit::app::program_commit() { return "@commit@"; }
]] @ONLY)

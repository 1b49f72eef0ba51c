# Fails unless `compiler`, which stops at the first error, refuses `source` with the sentence that stands in the source's
# first line.
file(STRINGS ${source} first_line LIMIT_COUNT 1)
if(NOT first_line MATCHES "^// expect: (.+)$")
    message(FATAL_ERROR "${source} does not begin with a line `// expect: <sentence>`")
endif()
set(sentence "${CMAKE_MATCH_1}")
execute_process(COMMAND ${compiler} ${source} RESULT_VARIABLE status ERROR_VARIABLE output OUTPUT_VARIABLE output)
string(REPLACE "_" " " spaced "${output}")  # the sentence may be the name of a function
string(FIND "${output}${spaced}" "${sentence}" position)
if(status EQUAL 0)
    message(FATAL_ERROR "the compiler accepted ${source}")
elseif(position EQUAL -1)
    message(FATAL_ERROR "the compiler refused ${source} without saying `${sentence}`:\n${output}")
endif()

# cmake [-D out=batcher.hpp] -P cmake/amalgamate.cmake
# All of the library but the remote part and opentelemetry.hpp as one header, which is included instead of the folder
# include/. Headers stand in it in the order in which they are included; includes of others stay where they are.
cmake_minimum_required(VERSION 3.25)
cmake_path(GET CMAKE_CURRENT_LIST_DIR PARENT_PATH project)
if(NOT out)
    set(out batcher.hpp)
endif()

# append(NAME): the header, unless it has been, with those that it includes in their places.
function(append name)
    get_property(appended GLOBAL PROPERTY appended)
    if(name IN_LIST appended)
        return()
    endif()
    set_property(GLOBAL APPEND PROPERTY appended ${name})
    file(READ ${project}/include/${name} text)
    string(REPLACE "#pragma once\n" "" text "${text}")
    file(APPEND ${out} "\n// ---- ${name}\n")
    while(text MATCHES "\n#include <(batcher/[^>]+)>\n")
        set(included ${CMAKE_MATCH_1})
        string(FIND "${text}" "${CMAKE_MATCH_0}" begin)
        string(LENGTH "${CMAKE_MATCH_0}" length)
        math(EXPR end "${begin} + ${length} - 1")  # the next line may be another one
        string(SUBSTRING "${text}" 0 ${begin} before)
        string(SUBSTRING "${text}" ${end} -1 text)
        file(APPEND ${out} "${before}")
        append(${included})
    endwhile()
    file(APPEND ${out} "${text}")
endfunction()

file(READ ${project}/include/batcher/version.hpp version)
string(REGEX REPLACE ".*MAJOR ([0-9]+).*MINOR ([0-9]+).*PATCH ([0-9]+)\n.*" "\\1.\\2.\\3" version "${version}")
file(WRITE ${out} "// batcher ${version} as one header. SPDX-License-Identifier: Apache-2.0\n#pragma once\n")
append(batcher.hpp)
append(batcher/prometheus.hpp)

# Finds what the remote part stands on, and wraps it in one target, batcher::grpc_libraries. The build and the installed
# package both include this file.
#
# Leaves BATCHER_GRPC_PROBLEM empty, or a sentence that says what is missing and what to do about it. Nothing else is said:
# most programs use the core alone.

# Faults of Debian's gRPC. It is spread over several packages, and its file for CMake ends the whole configuration if it is
# installed without the others: then it is ignored. Whatever the log level, it announces that it could NOT find a file for
# CMake of c-ares; it looks for c-ares only once, so that a program that finds gRPC itself after this fails; and to ask
# pkg-config for RE2 takes half a minute on Debian 13. So it gets files for CMake of these two, for this run of CMake.
macro(batcher_prepare_debian_grpc)
    set(debian lib/${CMAKE_LIBRARY_ARCHITECTURE}/cmake/grpc)
    if(NOT EXISTS /usr/bin/grpc_cpp_plugin OR NOT EXISTS /usr/include/grpcpp/grpcpp.h)
        list(APPEND CMAKE_IGNORE_PATH /usr/${debian} /${debian})  # /lib is /usr/lib
    elseif(EXISTS /usr/${debian}/modules/Findc-ares.cmake)
        batcher_make_package(c-ares c-ares::cares cares)
        batcher_make_package(re2 re2::re2 re2)
    endif()
endmacro()

function(batcher_make_package package target library)
    if(NOT TARGET ${target})
        find_package(${package} CONFIG QUIET GLOBAL)
    endif()
    if(NOT TARGET ${target})
        file(WRITE ${CMAKE_FIND_PACKAGE_REDIRECTS_DIR}/${package}-config.cmake "\
if(NOT TARGET ${target})
    add_library(${target} INTERFACE IMPORTED)
    target_link_libraries(${target} INTERFACE ${library})
endif()\n")
    endif()
endfunction()

function(batcher_find_grpc)
    set(advice "Install it (Debian: apt-get install libgrpc++-dev libprotobuf-dev protobuf-compiler-grpc \
libmsgpack-cxx-dev; macOS: brew install grpc msgpack-cxx; vcpkg, Conan: grpc, msgpack-cxx).")
    if(WIN32)
        set(BATCHER_GRPC_PROBLEM "The remote part needs the signals and sockets of POSIX, which Windows has not." PARENT_SCOPE)
        return()
    endif()
    if(CMAKE_CXX_FLAGS MATCHES "-stdlib=libc[+][+]" AND NOT TARGET gRPC::grpc++)
        set(BATCHER_GRPC_PROBLEM "The system's gRPC++ is built with another standard library than libc++." PARENT_SCOPE)
        return()
    endif()

    if(NOT TARGET gRPC::grpc++)
        batcher_prepare_debian_grpc()
        set(CMAKE_MESSAGE_LOG_LEVEL WARNING)  # of its many dependencies, each found or not found is announced
        find_package(gRPC 1.51 CONFIG QUIET GLOBAL)
        unset(CMAKE_MESSAGE_LOG_LEVEL)
    endif()
    # Its file for CMake makes gRPC's target also where protobuf is missing, which that needs.
    if(NOT TARGET gRPC::grpc++ OR NOT TARGET protobuf::libprotobuf)
        set(BATCHER_GRPC_PROBLEM "batcher::grpc needs gRPC++ 1.51 or newer with protobuf, and none was found. \
${advice}" PARENT_SCOPE)
        return()
    endif()

    # As plain headers: the packages of msgpack-cxx differ in name, and ask for Boost, which is not needed.
    find_path(BATCHER_MSGPACK_INCLUDE msgpack.hpp)
    mark_as_advanced(BATCHER_MSGPACK_INCLUDE)
    if(NOT BATCHER_MSGPACK_INCLUDE)
        set(BATCHER_GRPC_PROBLEM "batcher::grpc needs msgpack-cxx 4 or newer, and none was found. ${advice}" PARENT_SCOPE)
        return()
    endif()

    add_library(batcher::grpc_libraries INTERFACE IMPORTED GLOBAL)
    target_link_libraries(batcher::grpc_libraries INTERFACE gRPC::grpc++)
    target_include_directories(batcher::grpc_libraries INTERFACE ${BATCHER_MSGPACK_INCLUDE})
    target_compile_definitions(batcher::grpc_libraries INTERFACE MSGPACK_NO_BOOST)
    if(TARGET gRPC::grpc++_reflection)
        target_link_libraries(batcher::grpc_libraries INTERFACE gRPC::grpc++_reflection)
        target_compile_definitions(batcher::grpc_libraries INTERFACE BATCHER_GRPC_REFLECTION)
    endif()
endfunction()

# A program that links batcher::grpc where it cannot be is told why; CMake would only say that there is no such target.
# For the end of a directory, whose targets are all there then.
function(batcher_explain_missing_grpc directory)
    get_property(targets DIRECTORY ${directory} PROPERTY BUILDSYSTEM_TARGETS)
    foreach(target IN LISTS targets)
        get_property(libraries TARGET ${target} PROPERTY LINK_LIBRARIES)
        get_property(used TARGET ${target} PROPERTY INTERFACE_LINK_LIBRARIES)
        if("batcher::grpc" IN_LIST libraries OR "batcher::grpc" IN_LIST used)
            get_property(problem GLOBAL PROPERTY BATCHER_GRPC_PROBLEM)
            message(FATAL_ERROR "${target} links batcher::grpc, which is not there. ${problem}")
        endif()
    endforeach()
    get_property(subdirectories DIRECTORY ${directory} PROPERTY SUBDIRECTORIES)
    foreach(subdirectory IN LISTS subdirectories)
        batcher_explain_missing_grpc(${subdirectory})
    endforeach()
endfunction()

set(BATCHER_GRPC_PROBLEM "")
if(NOT TARGET batcher::grpc_libraries)
    if(DEFINED BATCHER_GRPC AND NOT BATCHER_GRPC)
        set(BATCHER_GRPC_PROBLEM "batcher::grpc is switched off: BATCHER_GRPC is ${BATCHER_GRPC}.")
    else()
        batcher_find_grpc()
    endif()
endif()
set_property(GLOBAL PROPERTY BATCHER_GRPC_PROBLEM "${BATCHER_GRPC_PROBLEM}")

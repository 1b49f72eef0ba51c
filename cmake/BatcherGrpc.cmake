# Finds what the remote part stands on, and wraps it in one target, batcher::grpc_libraries. The build and the installed
# package both include this file.
#
# Leaves BATCHER_GRPC_PROBLEM empty, or a sentence that says what is missing and what to do about it.

function(batcher_find_grpc)
    set(advice "Install it (Debian: apt-get install libgrpc++-dev libprotobuf-dev protobuf-compiler-grpc \
libmsgpack-cxx-dev; macOS: brew install grpc msgpack-cxx; vcpkg, Conan: grpc, msgpack-cxx).")
    if(CMAKE_CXX_FLAGS MATCHES "-stdlib=libc[+][+]" AND NOT TARGET gRPC::grpc++)
        set(BATCHER_GRPC_PROBLEM "The system's gRPC++ is built with another standard library than libc++." PARENT_SCOPE)
        return()
    endif()

    if(NOT TARGET gRPC::grpc++)
        set(CMAKE_MESSAGE_LOG_LEVEL WARNING)  # of its many dependencies, each found is announced
        find_package(gRPC 1.51 CONFIG QUIET GLOBAL)
        unset(CMAKE_MESSAGE_LOG_LEVEL)
    endif()
    if(NOT TARGET gRPC::grpc++)
        set(BATCHER_GRPC_PROBLEM "batcher::grpc needs gRPC++ 1.51 or newer, and none was found. ${advice}" PARENT_SCOPE)
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

set(BATCHER_GRPC_PROBLEM "")
if(NOT TARGET batcher::grpc_libraries)
    batcher_find_grpc()
endif()

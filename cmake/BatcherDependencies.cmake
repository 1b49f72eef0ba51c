# Finds what batcher stands on and wraps it in two targets, batcher::asio and batcher::fmt. The build and the installed
# package both include this file, so a program sees the same Asio whichever way it gets batcher.
#
# Leaves BATCHER_PROBLEM empty, or a sentence that says what is missing and what to do about it. Targets are made GLOBAL
# because a project that adds batcher as a subdirectory links them from another directory.

# Asio as a target the project has, as a config package (vcpkg, Conan), or as plain headers: below ASIO_ROOT if that is
# set, as a variable or in the environment, else where the compiler looks anyway.
function(batcher_find_asio)
    set(oldest 1.22.1)
    set(advice "Install it (Debian: apt-get install libasio-dev; macOS: brew install asio; vcpkg, Conan: asio) or \
name the directory of another one with -DASIO_ROOT=<directory>.${batcher_download}")
    set(root ${ASIO_ROOT} $ENV{ASIO_ROOT})

    if(NOT TARGET asio::asio AND NOT TARGET asio AND NOT root)
        find_package(asio CONFIG QUIET GLOBAL)
    endif()
    foreach(candidate IN ITEMS asio asio::asio)
        if(TARGET ${candidate})
            set(target ${candidate})
        endif()
    endforeach()
    if(target)
        # A target may hide its directories in generator expressions; then nothing is known of its version, and the
        # library's own check at compile time has to do.
        get_target_property(directories ${target} INTERFACE_INCLUDE_DIRECTORIES)
        string(REGEX REPLACE "\\$<BUILD_INTERFACE:([^<>]*)>" "\\1" directories "${directories}")
        find_path(directory asio/version.hpp PATHS ${directories} NO_DEFAULT_PATH NO_CACHE)
    elseif(root)
        list(GET root 0 root)
        # Asio's own tree has its headers below asio/include up to 1.36.
        find_path(directory asio/version.hpp PATHS ${root} PATH_SUFFIXES include asio/include
            NO_DEFAULT_PATH NO_CACHE)
    else()
        find_path(directory asio/version.hpp NO_CACHE)
    endif()

    if(directory)
        string(REGEX REPLACE "/$" "" directory "${directory}")
        file(STRINGS ${directory}/asio/version.hpp number REGEX "define ASIO_VERSION [0-9]+")
        string(REGEX REPLACE ".*ASIO_VERSION ([0-9]+).*" "\\1" number "${number}")
        math(EXPR major "${number} / 100000")
        math(EXPR minor "${number} / 100 % 1000")
        math(EXPR patch "${number} % 100")
        set(version ${major}.${minor}.${patch})
        if(version VERSION_LESS oldest)
            set(BATCHER_PROBLEM "batcher needs Asio ${oldest} or newer, and the one in ${directory} is ${version}. \
${advice}" PARENT_SCOPE)
            return()
        endif()
        if(NOT batcher_FIND_QUIETLY)
            message(STATUS "batcher: Asio ${version} in ${directory}")
        endif()
    elseif(NOT target)
        if(root)
            set(place "in ASIO_ROOT, ${root}")
        else()
            set(place "on this machine")
        endif()
        set(BATCHER_PROBLEM "batcher needs Asio ${oldest} or newer, and there is none ${place}. ${advice}" PARENT_SCOPE)
        return()
    endif()

    add_library(batcher::asio INTERFACE IMPORTED GLOBAL)
    target_compile_definitions(batcher::asio INTERFACE ASIO_STANDALONE)
    if(target)
        target_link_libraries(batcher::asio INTERFACE ${target})
    else()
        target_include_directories(batcher::asio INTERFACE ${directory})
    endif()
    batcher_link_system()
    # Before 1.26 Asio looks for the coroutines of Clang where they were in their experimental days.
    if(NOT version VERSION_GREATER_EQUAL 1.26)
        target_compile_definitions(batcher::asio INTERFACE
            $<$<CXX_COMPILER_ID:Clang,AppleClang>:ASIO_HAS_CO_AWAIT>)
    endif()
endfunction()

function(batcher_find_boost_asio)
    if(NOT TARGET Boost::headers)
        find_package(Boost 1.81 CONFIG QUIET GLOBAL)
    endif()
    if(NOT TARGET Boost::headers)
        set(found "none was found")
        if(Boost_CONSIDERED_VERSIONS)
            set(found "found is ${Boost_CONSIDERED_VERSIONS} in ${Boost_CONSIDERED_CONFIGS}")
        endif()
        set(BATCHER_PROBLEM "batcher with BATCHER_USE_BOOST_ASIO needs Boost 1.81 or newer, and ${found}. Install it \
(Debian 12: apt-get install libboost1.81-dev), or name its directory with -DBoost_ROOT=<directory>." PARENT_SCOPE)
        return()
    endif()
    add_library(batcher::asio INTERFACE IMPORTED GLOBAL)
    target_link_libraries(batcher::asio INTERFACE Boost::headers)
    batcher_link_system()
    target_compile_definitions(batcher::asio INTERFACE BATCHER_USE_BOOST_ASIO)
endfunction()

# What either Asio links. Windows' sockets it names itself to MSVC, in a way that MinGW does not know.
function(batcher_link_system)
    find_package(Threads QUIET REQUIRED GLOBAL)
    target_link_libraries(batcher::asio INTERFACE Threads::Threads)
    if(MINGW)
        target_link_libraries(batcher::asio INTERFACE ws2_32 mswsock)
    endif()
endfunction()

# The compiled library where there is one, else the headers alone. The headers can be asked for: a program built with
# libc++ cannot link a library built with libstdc++.
function(batcher_find_fmt)
    if(NOT TARGET fmt::fmt AND NOT TARGET fmt::fmt-header-only)
        find_package(fmt 9 CONFIG QUIET GLOBAL)
    endif()
    if(TARGET fmt::fmt AND NOT BATCHER_FMT_HEADER_ONLY)
        set(target fmt::fmt)
    elseif(TARGET fmt::fmt-header-only)
        set(target fmt::fmt-header-only)
    else()
        set(found "none was found")
        if(fmt_CONSIDERED_VERSIONS)
            set(found "found is ${fmt_CONSIDERED_VERSIONS} in ${fmt_CONSIDERED_CONFIGS}")
        endif()
        set(BATCHER_PROBLEM "batcher needs fmt 9 or newer, and ${found}. Install it (Debian: apt-get install \
libfmt-dev; macOS: brew install fmt; vcpkg, Conan: fmt) or name its directory with \
-Dfmt_ROOT=<directory>.${batcher_download}" PARENT_SCOPE)
        return()
    endif()
    add_library(batcher::fmt INTERFACE IMPORTED GLOBAL)
    target_link_libraries(batcher::fmt INTERFACE ${target})
endfunction()

set(BATCHER_PROBLEM "")
set(batcher_download "")  # the installed package downloads nothing
if(NOT CMAKE_FIND_PACKAGE_NAME STREQUAL "batcher")
    set(batcher_download " CMake downloads it with -DBATCHER_FETCH_DEPENDENCIES=ON.")
endif()
if(NOT TARGET batcher::asio)
    if(BATCHER_USE_BOOST_ASIO)
        batcher_find_boost_asio()
    else()
        batcher_find_asio()
    endif()
endif()
if(NOT TARGET batcher::fmt AND NOT BATCHER_PROBLEM)
    batcher_find_fmt()
endif()

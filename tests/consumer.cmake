# The project in consumer/ is configured, built and run by every way to get the library, each in a directory of its own.
# It is given this build's compiler and the place of its dependencies.
set(consumers ${CMAKE_CURRENT_BINARY_DIR}/consumers)
set(options --fresh
    -DBATCHER_SOURCE=${PROJECT_SOURCE_DIR}
    -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}
    "-DCMAKE_CXX_FLAGS=${CMAKE_CXX_FLAGS}"
    "-DASIO_ROOT=${ASIO_ROOT}")
set(flavour -DBATCHER_USE_BOOST_ASIO=${BATCHER_USE_BOOST_ASIO} -DBATCHER_FMT_HEADER_ONLY=${BATCHER_FMT_HEADER_ONLY})

function(add_consumer_test name from)
    add_test(NAME ${name} COMMAND ${CMAKE_CTEST_COMMAND}
        --build-and-test ${CMAKE_CURRENT_SOURCE_DIR}/consumer ${consumers}/${name}
        --build-generator ${CMAKE_GENERATOR}
        --build-options ${options} -DBATCHER_FROM=${from} ${ARGN}
        --test-command consumer)
    set_tests_properties(${name} PROPERTIES LABELS consumer TIMEOUT ${timeout} PROCESSORS 2)
endfunction()

# Which Asio it was installed for, the package must know by itself.
add_test(NAME install COMMAND ${CMAKE_COMMAND} --install ${PROJECT_BINARY_DIR} --prefix ${consumers}/prefix)
set_tests_properties(install PROPERTIES LABELS consumer TIMEOUT ${timeout} FIXTURES_SETUP installed)
add_consumer_test(find_package find_package -DCMAKE_PREFIX_PATH=${consumers}/prefix)
set_tests_properties(find_package PROPERTIES FIXTURES_REQUIRED installed)

# Without CMake, by the package's files for pkg-config: add_pkg_config_test(NAME SOURCE)
find_program(BATCHER_PKG_CONFIG pkg-config)
mark_as_advanced(BATCHER_PKG_CONFIG)
function(add_pkg_config_test name source)
    set(program ${consumers}/${name})
    add_test(NAME "pkg-config ${name}" COMMAND sh -ec "flags=$('${BATCHER_PKG_CONFIG}' --cflags --libs ${name})
'${CMAKE_CXX_COMPILER}' ${CMAKE_CXX_FLAGS} -std=c++20 -DASIO_HAS_CO_AWAIT ${source} $flags -o '${program}'
exec '${program}'" WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/consumer)
    set_tests_properties("pkg-config ${name}" PROPERTIES
        LABELS consumer TIMEOUT ${timeout} PROCESSORS 2 FIXTURES_REQUIRED installed
        ENVIRONMENT PKG_CONFIG_PATH=${consumers}/prefix/${CMAKE_INSTALL_DATADIR}/pkgconfig)
endfunction()
if(BATCHER_PKG_CONFIG AND NOT BATCHER_USE_BOOST_ASIO AND NOT ASIO_ROOT AND NOT BATCHER_FETCH_DEPENDENCIES)
    add_pkg_config_test(batcher main.cpp)
    if(TARGET batcher::grpc)
        add_pkg_config_test(batcher-grpc remote.cpp)
    endif()
endif()

add_consumer_test(add_subdirectory add_subdirectory ${flavour})
add_consumer_test(FetchContent FetchContent ${flavour})

# Whatever the machine has that installs the package, its remote part is there where the program is built.
set(no_grpc -DCMAKE_DISABLE_FIND_PACKAGE_gRPC=ON)
add_test(NAME install_without_grpc COMMAND ${CMAKE_CTEST_COMMAND}
    --build-and-test ${PROJECT_SOURCE_DIR} ${consumers}/install_without_grpc
    --build-generator ${CMAKE_GENERATOR}
    --build-options ${options} ${flavour} ${no_grpc} -DBATCHER_BUILD_TESTS=OFF -DBATCHER_BUILD_EXAMPLES=OFF
        -DBATCHER_BUILD_BENCHMARKS=OFF
    --test-command ${CMAKE_COMMAND} --install . --prefix ${consumers}/prefix_without_grpc)
set_tests_properties(install_without_grpc PROPERTIES LABELS consumer TIMEOUT ${timeout}
    FIXTURES_SETUP installed_without_grpc)
if(TARGET batcher::grpc)
    add_consumer_test(find_package_grpc find_package -DBATCHER_PART=grpc
        -DCMAKE_PREFIX_PATH=${consumers}/prefix_without_grpc)
    set_tests_properties(find_package_grpc PROPERTIES FIXTURES_REQUIRED installed_without_grpc)
    add_consumer_test(add_subdirectory_grpc add_subdirectory -DBATCHER_PART=grpc ${flavour})
    # The example that says what a project of one's own looks like.
    if(NOT BATCHER_USE_BOOST_ASIO)
        add_test(NAME "the example prices is a project of its own" COMMAND ${CMAKE_CTEST_COMMAND}
            --build-and-test ${PROJECT_SOURCE_DIR}/examples/prices ${consumers}/prices
            --build-generator ${CMAKE_GENERATOR}
            --build-options ${options} -DCMAKE_PREFIX_PATH=${consumers}/prefix)
        set_tests_properties("the example prices is a project of its own" PROPERTIES
            LABELS consumer TIMEOUT ${timeout} PROCESSORS 2 FIXTURES_REQUIRED installed)
    endif()
endif()
# The core neither needs nor looks for gRPC++.
add_consumer_test(without_grpc add_subdirectory -DBATCHER_GRPC=OFF ${flavour})

# Without Catch2 the project is configured all the same, and says what is left out and what brings it.
add_test(NAME no_catch2 COMMAND ${CMAKE_COMMAND} -G ${CMAKE_GENERATOR} -S ${PROJECT_SOURCE_DIR} -B ${consumers}/no_catch2
    ${options} ${flavour} ${no_grpc} -DCMAKE_DISABLE_FIND_PACKAGE_Catch2=ON -DBATCHER_BUILD_EXAMPLES=OFF
    -DBATCHER_BUILD_BENCHMARKS=OFF)
set_tests_properties(no_catch2 PROPERTIES LABELS consumer TIMEOUT ${timeout}
    PASS_REGULAR_EXPRESSION "the tests are left out, Catch2 is missing.*apt-get install catch2.*Build files have been written")

# What CMake says to a project, and where it says nothing.
function(add_message_test name)
    add_test(NAME ${name} COMMAND ${CMAKE_COMMAND} -G ${CMAKE_GENERATOR}
        -S ${CMAKE_CURRENT_SOURCE_DIR}/consumer -B ${consumers}/${name} ${options} ${ARGN})
    set_tests_properties(${name} PROPERTIES LABELS consumer TIMEOUT ${timeout})
endfunction()
function(add_refusal_test name sentence)
    add_message_test(${name} ${ARGN})
    string(REPLACE " " "[ \n]+" sentence "${sentence}")  # CMake breaks its messages into lines
    set_tests_properties(${name} PROPERTIES PASS_REGULAR_EXPRESSION "${sentence}")
endfunction()

# Asio is too old, or there is none.
file(WRITE ${consumers}/old/include/asio/version.hpp "#define ASIO_VERSION 101801\n")
add_refusal_test(old_asio "Asio 1\\.22\\.1 or newer, and the one in .*/old/include is 1\\.18\\.1\\. Install it"
    -DBATCHER_FROM=add_subdirectory -DASIO_ROOT=${consumers}/old)
add_refusal_test(no_asio "Asio 1\\.22\\.1 or newer, and there is none in ASIO_ROOT, .*/none\\. Install it"
    -DBATCHER_FROM=add_subdirectory -DASIO_ROOT=${consumers}/none)

# There is no gRPC++, and the program asks for the remote part in one of these ways; or it does not.
set(needs_grpc "batcher::grpc needs gRPC\\+\\+ 1\\.51 or newer with protobuf, and none was found\\. Install it")
set(links_grpc "consumer links batcher::grpc, which is not there\\.")
set(installed -DBATCHER_FROM=find_package -DCMAKE_PREFIX_PATH=${consumers}/prefix)
set(subdirectory -DBATCHER_FROM=add_subdirectory ${flavour})
add_refusal_test(no_grpc_on "CMake Error.* ${needs_grpc}" ${subdirectory} ${no_grpc} -DBATCHER_GRPC=ON)
add_refusal_test(no_grpc_linked "CMake Error.* ${links_grpc} ${needs_grpc}" ${subdirectory} ${no_grpc}
    -DBATCHER_PART=grpc)
add_refusal_test(no_grpc_linked_off "CMake Error.* ${links_grpc} batcher::grpc is switched off" ${subdirectory}
    -DBATCHER_PART=grpc -DBATCHER_GRPC=OFF)
add_refusal_test(no_grpc_installed_linked "CMake Error.* ${links_grpc} ${needs_grpc}" ${installed} ${no_grpc}
    -DBATCHER_PART=grpc)
add_refusal_test(no_grpc_installed_component "CMake Error.* ${needs_grpc}" ${installed} ${no_grpc}
    -DBATCHER_PART=grpc -DBATCHER_COMPONENTS=grpc)
add_message_test(quiet ${subdirectory})
add_message_test(quiet_without_grpc ${subdirectory} ${no_grpc})
add_message_test(quiet_installed ${installed})
add_message_test(quiet_installed_without_grpc ${installed} ${no_grpc})
set_tests_properties(quiet quiet_without_grpc quiet_installed quiet_installed_without_grpc PROPERTIES
    FAIL_REGULAR_EXPRESSION "NOT found;Could NOT;[gG][rR][pP][cC][ +:];Protobuf;Warning at;Deprecation")
set_tests_properties(no_grpc_installed_linked no_grpc_installed_component quiet_installed quiet_installed_without_grpc
    PROPERTIES FIXTURES_REQUIRED installed)

# Downloaded dependencies, without the download: the machine's headers lie where the downloads would be unpacked.
if(NOT BATCHER_USE_BOOST_ASIO AND TARGET fmt::fmt-header-only)
    get_target_property(asio_include batcher::asio INTERFACE_INCLUDE_DIRECTORIES)
    get_target_property(fmt_include fmt::fmt-header-only INTERFACE_INCLUDE_DIRECTORIES)
    file(MAKE_DIRECTORY ${consumers}/asio/include ${consumers}/fmt/include)
    file(CREATE_LINK ${asio_include}/asio.hpp ${consumers}/asio/include/asio.hpp SYMBOLIC)
    file(CREATE_LINK ${asio_include}/asio ${consumers}/asio/include/asio SYMBOLIC)
    file(CREATE_LINK ${fmt_include}/fmt ${consumers}/fmt/include/fmt SYMBOLIC)
    file(WRITE ${consumers}/fmt/CMakeLists.txt "
        add_library(fmt-header-only INTERFACE)
        add_library(fmt::fmt-header-only ALIAS fmt-header-only)
        target_include_directories(fmt-header-only INTERFACE include)
        target_compile_definitions(fmt-header-only INTERFACE FMT_HEADER_ONLY=1)\n")
    add_consumer_test(fetched_dependencies add_subdirectory -DBATCHER_FETCH_DEPENDENCIES=ON
        -DFETCHCONTENT_SOURCE_DIR_ASIO=${consumers}/asio -DFETCHCONTENT_SOURCE_DIR_FMT=${consumers}/fmt)
endif()

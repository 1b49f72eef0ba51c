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
    set_tests_properties(${name} PROPERTIES LABELS consumer TIMEOUT ${timeout})
endfunction()

# Which Asio it was installed for, the package must know by itself.
add_test(NAME install COMMAND ${CMAKE_COMMAND} --install ${PROJECT_BINARY_DIR} --prefix ${consumers}/prefix)
set_tests_properties(install PROPERTIES LABELS consumer TIMEOUT ${timeout} FIXTURES_SETUP installed)
add_consumer_test(find_package find_package -DCMAKE_PREFIX_PATH=${consumers}/prefix)
set_tests_properties(find_package PROPERTIES FIXTURES_REQUIRED installed)

add_consumer_test(add_subdirectory add_subdirectory ${flavour})
add_consumer_test(FetchContent FetchContent ${flavour})

if(TARGET batcher::grpc)
    add_consumer_test(find_package_grpc find_package -DBATCHER_PART=grpc -DCMAKE_PREFIX_PATH=${consumers}/prefix)
    set_tests_properties(find_package_grpc PROPERTIES FIXTURES_REQUIRED installed)
    add_consumer_test(add_subdirectory_grpc add_subdirectory -DBATCHER_PART=grpc ${flavour})
endif()
# The core neither needs nor looks for gRPC++.
add_consumer_test(without_grpc add_subdirectory -DBATCHER_GRPC=OFF ${flavour})

# What is said when Asio is too old, and when there is none.
function(add_refusal_test name asio_root sentence)
    add_test(NAME ${name} COMMAND ${CMAKE_COMMAND} -G ${CMAKE_GENERATOR}
        -S ${CMAKE_CURRENT_SOURCE_DIR}/consumer -B ${consumers}/${name}
        ${options} -DBATCHER_FROM=add_subdirectory -DASIO_ROOT=${asio_root})
    string(REPLACE " " "[ \n]+" sentence "${sentence}")  # CMake breaks its messages into lines
    set_tests_properties(${name} PROPERTIES LABELS consumer TIMEOUT ${timeout} PASS_REGULAR_EXPRESSION "${sentence}")
endfunction()
file(WRITE ${consumers}/old/include/asio/version.hpp "#define ASIO_VERSION 101801\n")
add_refusal_test(old_asio ${consumers}/old
    "Asio 1\\.22\\.1 or newer, and the one in .*/old/include is 1\\.18\\.1\\. Install it")
add_refusal_test(no_asio ${consumers}/none
    "Asio 1\\.22\\.1 or newer, and there is none in ASIO_ROOT, .*/none\\. Install it")

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

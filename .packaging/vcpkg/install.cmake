# cmake -D prefix=DIRECTORY -P install.cmake
# The steps of the port batcher where there is no vcpkg: what its functions do, for a package of headers alone.
cmake_minimum_required(VERSION 3.25)
set(CURRENT_PORT_DIR ${CMAKE_CURRENT_LIST_DIR}/batcher)
set(CURRENT_PACKAGES_DIR ${prefix})
set(build ${prefix}-build)
file(REMOVE_RECURSE ${prefix} ${build})

function(vcpkg_cmake_configure)
    cmake_parse_arguments(arg "" SOURCE_PATH OPTIONS ${ARGN})
    execute_process(COMMAND ${CMAKE_COMMAND} -S ${arg_SOURCE_PATH} -B ${build} -G Ninja -DCMAKE_INSTALL_PREFIX=${prefix}
        ${arg_OPTIONS} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

function(vcpkg_cmake_install)
    execute_process(COMMAND ${CMAKE_COMMAND} --install ${build} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

# A package's files for CMake move to share/<port>, and look for its prefix from there.
function(vcpkg_cmake_config_fixup)
    cmake_parse_arguments(arg "" CONFIG_PATH "" ${ARGN})
    file(RENAME ${prefix}/${arg_CONFIG_PATH} ${prefix}/share/batcher)
    file(REMOVE_RECURSE ${prefix}/share/cmake)
    file(GLOB files ${prefix}/share/batcher/*.cmake)
    set(up "get_filename_component(_IMPORT_PREFIX \"\${_IMPORT_PREFIX}\" PATH)\n")
    foreach(file IN LISTS files)
        file(READ ${file} text)
        string(REPLACE "${up}${up}${up}" "${up}${up}" text "${text}")
        string(REPLACE "LIST_DIR}/../../../" "LIST_DIR}/../../" text "${text}")
        file(WRITE ${file} "${text}")
    endforeach()
endfunction()

function(vcpkg_fixup_pkgconfig)
endfunction()

function(vcpkg_install_copyright)
    cmake_parse_arguments(arg "" "" FILE_LIST ${ARGN})
    file(COPY_FILE ${arg_FILE_LIST} ${prefix}/share/batcher/copyright)
endfunction()

include(${CURRENT_PORT_DIR}/portfile.cmake)

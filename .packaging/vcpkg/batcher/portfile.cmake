# An overlay port: it packs the sources that it stands in.
set(VCPKG_BUILD_TYPE release)  # nothing is compiled
cmake_path(ABSOLUTE_PATH CURRENT_PORT_DIR OUTPUT_VARIABLE port)
cmake_path(SET SOURCE_PATH NORMALIZE "${port}/../../..")

# The remote part's headers are always there, and a program that finds gRPC++ can use them: the feature brings that.
vcpkg_cmake_configure(
    SOURCE_PATH "${SOURCE_PATH}"
    OPTIONS
        -DBATCHER_GRPC=OFF
        -DBATCHER_BUILD_TESTS=OFF
        -DBATCHER_BUILD_EXAMPLES=OFF
        -DBATCHER_BUILD_BENCHMARKS=OFF
)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH share/cmake/batcher)
if(NOT "grpc" IN_LIST FEATURES)
    file(REMOVE "${CURRENT_PACKAGES_DIR}/share/pkgconfig/batcher-grpc.pc")  # it requires that of gRPC++
endif()
vcpkg_fixup_pkgconfig()
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/share/doc")
file(INSTALL "${CURRENT_PORT_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/batcher")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")

# Pinned releases of Asio and fmt, and of Catch2 if there are tests, downloaded and checked. A target the project already has is left alone.
include(FetchContent)

if(NOT BATCHER_USE_BOOST_ASIO AND NOT TARGET asio::asio AND NOT TARGET asio)
    FetchContent_Declare(asio SYSTEM
        URL https://github.com/chriskohlhoff/asio/archive/refs/tags/asio-1-30-2.tar.gz
        URL_HASH SHA256=755bd7f85a4b269c67ae0ea254907c078d408cce8e1a352ad2ed664d233780e8
        DOWNLOAD_EXTRACT_TIMESTAMP ON)
    FetchContent_MakeAvailable(asio)
    set(ASIO_ROOT ${asio_SOURCE_DIR})  # plain headers: found as any other Asio is
endif()

if(NOT TARGET fmt::fmt AND NOT TARGET fmt::fmt-header-only)
    FetchContent_Declare(fmt SYSTEM
        URL https://github.com/fmtlib/fmt/archive/refs/tags/11.2.0.tar.gz
        URL_HASH SHA256=bc23066d87ab3168f27cef3e97d545fa63314f5c79df5ea444d41d56f962c6af
        DOWNLOAD_EXTRACT_TIMESTAMP ON)
    FetchContent_MakeAvailable(fmt)
endif()

if(BATCHER_BUILD_TESTS AND NOT TARGET Catch2::Catch2)
    FetchContent_Declare(Catch2 SYSTEM
        URL https://github.com/catchorg/Catch2/archive/refs/tags/v3.7.1.tar.gz
        URL_HASH SHA256=c991b247a1a0d7bb9c39aa35faf0fe9e19764213f28ffba3109388e62ee0269c
        DOWNLOAD_EXTRACT_TIMESTAMP ON)
    FetchContent_MakeAvailable(Catch2)
    # As its package would have it.
    set(Catch2_VERSION 3.7.1)
    list(APPEND CMAKE_MODULE_PATH ${catch2_SOURCE_DIR}/extras)
endif()

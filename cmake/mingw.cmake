# A toolchain for CMake: programs for Windows, with Debian's g++-mingw-w64-x86-64-posix; Wine runs the tests.
#
# The machine's own headers are of no use to them. CMAKE_FIND_ROOT_PATH is a folder with those of Asio, fmt and Catch2, as
# Debian's packages have them; .ci/run unpacks one. The preset mingw optimises a little: without that, objects of the tests
# have more names than their format can count.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++-posix)
set(CMAKE_CROSSCOMPILING_EMULATOR wine)
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)  # no libraries have to lie beside a program

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

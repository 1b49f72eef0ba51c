// Catch2, whichever of its major versions is installed: 2 is one header, 3 has an umbrella.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
#include <catch2/catch.hpp>
#endif

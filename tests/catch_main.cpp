// The main function of the programs `unit` and `core` where Catch2 is there as headers only.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>

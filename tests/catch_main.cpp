// The main function of the program `unit` where Catch2 is there as headers only.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>

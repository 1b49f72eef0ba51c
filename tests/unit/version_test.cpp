// The version, as a program asks for it.
#include "catch.hpp"

#include <batcher.hpp>

namespace version_test {

// Where the preprocessor cannot compare it, this file does not compile.
#if BATCHER_VERSION < 200 || BATCHER_VERSION >= 1000000
#error "The version is a number between 0.2.0 and 100.0.0."
#endif

TEST_CASE("the version is one number, and grows with its parts") {
    CHECK(BATCHER_VERSION / 10000 == BATCHER_VERSION_MAJOR);
    CHECK(BATCHER_VERSION / 100 % 100 == BATCHER_VERSION_MINOR);
    CHECK(BATCHER_VERSION % 100 == BATCHER_VERSION_PATCH);
}

}  // namespace version_test

// The version of the library, for the preprocessor and for CMake, which reads it here: the one place where it stands.
// It says what may have changed as https://semver.org does.
#pragma once

// Grows when programs may have to change; as long as it is 0, the next one does.
#define BATCHER_VERSION_MAJOR 0
// Grows when something is added.
#define BATCHER_VERSION_MINOR 2
// Grows when something is mended.
#define BATCHER_VERSION_PATCH 0

// One number that grows with the version: `#if BATCHER_VERSION >= 10203` holds from 1.2.3 on.
#define BATCHER_VERSION \
    (BATCHER_VERSION_MAJOR * 10000 + BATCHER_VERSION_MINOR * 100 + BATCHER_VERSION_PATCH)

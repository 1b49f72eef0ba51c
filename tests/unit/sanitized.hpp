// BATCHER_TEST_SANITIZED: defined where a sanitizer has an operator new of its own, which takes more memory and keeps
// what is freed.
#pragma once

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define BATCHER_TEST_SANITIZED
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BATCHER_TEST_SANITIZED
#endif

// Under any of them a test of what many cost takes ten times as long, and a part of the many shows it all the same.
#if defined(BATCHER_TEST_SANITIZED)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif

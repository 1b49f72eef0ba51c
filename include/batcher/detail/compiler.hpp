// What compilers spell differently.
#pragma once

// BATCHER_NOINLINE: a coroutine may be resumed and destroyed by another thread before the function that published
// it returns; inlined into the coroutine, clang 14 would keep that function's locals in the frame.
#if defined(_MSC_VER)
#define BATCHER_NOINLINE __declspec(noinline)
#define BATCHER_INLINE __forceinline
#define BATCHER_INLINE_LAMBDA
#define BATCHER_UNREACHABLE() __assume(false)
#define BATCHER_NO_UNIQUE_ADDRESS [[msvc::no_unique_address]]  // the standard's is ignored
#else
#define BATCHER_NOINLINE __attribute__((noinline))
#define BATCHER_INLINE __attribute__((always_inline)) inline
#define BATCHER_INLINE_LAMBDA __attribute__((always_inline))
#define BATCHER_UNREACHABLE() __builtin_unreachable()
#define BATCHER_NO_UNIQUE_ADDRESS [[no_unique_address]]
#endif

// BATCHER_DECL: how functions are defined that do not depend on the types of a Batcher. They are inline; or compiled once,
// where batcher/src.hpp is included.
#ifdef BATCHER_SEPARATE_COMPILATION
#define BATCHER_DECL
#else
#define BATCHER_DECL inline
#endif

// Memory with an alignment of its own, for tests that replace operator new. Windows has no std::aligned_alloc, and frees
// such memory by a function of its own.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

#if defined(_WIN32)
#include <malloc.h>
#endif

inline void* allocate_aligned(std::size_t size, std::align_val_t alignment) noexcept {
    const auto a = static_cast<std::size_t>(alignment);
#if defined(_WIN32)
    return _aligned_malloc(size, a);
#else
    return std::aligned_alloc(a, (size + a - 1) / a * a);
#endif
}

inline void free_aligned(void* p) noexcept {
#if defined(_WIN32)
    _aligned_free(p);
#else
    std::free(p);
#endif
}

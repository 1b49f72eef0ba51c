// Replaces malloc of the program that includes it (in one file) by one that counts; operator new, and what
// Asio allocates beside it, end up there. With glibc only: elsewhere nothing is counted.
#pragma once

#include <atomic>
#include <cstddef>

namespace bench {

struct Heap {
    inline static std::atomic<std::size_t> allocations{0};
    inline static std::atomic<std::size_t> bytes{
        0};  // in use now, with what the allocator rounds up
};

}  // namespace bench

#if defined(__GLIBC__)

#include <malloc.h>

#include <cerrno>

extern "C" {

void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* memory, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
void __libc_free(void* memory);

static void* counted(void* memory) noexcept {
    if (memory == nullptr) return memory;
    bench::Heap::allocations.fetch_add(1, std::memory_order_relaxed);
    bench::Heap::bytes.fetch_add(malloc_usable_size(memory), std::memory_order_relaxed);
    return memory;
}
static void uncount_bytes(void* memory) noexcept {
    if (memory == nullptr) return;
    bench::Heap::bytes.fetch_sub(malloc_usable_size(memory), std::memory_order_relaxed);
}

void* malloc(std::size_t size) noexcept { return counted(__libc_malloc(size)); }
void* calloc(std::size_t count, std::size_t size) noexcept {
    return counted(__libc_calloc(count, size));
}
void* realloc(void* memory, std::size_t size) noexcept {
    uncount_bytes(memory);
    return counted(__libc_realloc(memory, size));
}
void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
    return counted(__libc_memalign(alignment, size));
}
int posix_memalign(void** memory, std::size_t alignment, std::size_t size) noexcept {
    *memory = counted(__libc_memalign(alignment, size));
    return *memory == nullptr ? ENOMEM : 0;
}
void free(void* memory) noexcept {
    uncount_bytes(memory);
    __libc_free(memory);
}

}  // extern "C"

#endif

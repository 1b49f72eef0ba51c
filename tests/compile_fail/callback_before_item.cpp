// expect: async_process() takes one item of this Batcher and a completion token
#include <batcher.hpp>
#include <exception>

void call(batching::Batcher<int, int>& batcher) {
#if defined(CORRECTED)
    batcher.async_process(1, [](std::exception_ptr, int) {});
#else
    batcher.async_process([](std::exception_ptr, int) {}, 1);
#endif
}

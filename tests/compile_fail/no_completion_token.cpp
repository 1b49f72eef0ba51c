// expect: async_process() takes an item and a completion token
#include <batcher.hpp>
#include <exception>

void call(batching::Batcher<int, int>& batcher) {
#if defined(CORRECTED)
    batcher.async_process(1, [](std::exception_ptr, int) {});
#else
    batcher.async_process(1);
#endif
}

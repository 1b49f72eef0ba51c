// expect: async_process() queues an item: it cannot be called on a const Batcher
#include <batcher.hpp>
#include <exception>

#if defined(CORRECTED)
void call(batching::Batcher<int, int>& batcher) {
#else
void call(const batching::Batcher<int, int>& batcher) {
#endif
    batcher.async_process(1, [](std::exception_ptr, int) {});
}

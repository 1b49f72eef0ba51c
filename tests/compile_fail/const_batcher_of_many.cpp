// expect: process_many() queues items: it cannot be called on a const Batcher
#include <batcher.hpp>

#if defined(CORRECTED)
void call(batching::Batcher<int, int>& batcher) {
#else
void call(const batching::Batcher<int, int>& batcher) {
#endif
    batcher.process_many({1}).get();
}

// expect: process_many() takes one std::vector of this Batcher's items
#include <batcher.hpp>

void call(batching::Batcher<int, int>& batcher) {
#if defined(CORRECTED)
    batcher.process_many({1, 2}).get();
#else
    batcher.process_many(1, 2).get();
#endif
}

// expect: an operation is got once: write std::move(operation).get()
#include <batcher.hpp>

void call(batching::Batcher<int, int>& batcher) {
    auto operation = batcher.process(1);
#if defined(CORRECTED)
    std::move(operation).get();
#else
    operation.get();
#endif
}

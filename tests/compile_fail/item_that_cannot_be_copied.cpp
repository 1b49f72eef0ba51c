// expect: this item cannot be copied: write process(std::move(item))
#include <batcher.hpp>

#include <memory>

int call(batching::Batcher<std::unique_ptr<int>, int>& batcher, std::unique_ptr<int> item) {
#if defined(CORRECTED)
    return batcher.process(std::move(item)).get();
#else
    return batcher.process(item).get();
#endif
}

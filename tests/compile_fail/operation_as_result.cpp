// expect: an operation is not its result: co_await it, or call .get()
#include <batcher.hpp>

int call(batching::Batcher<int, int>& batcher) {
#if defined(CORRECTED)
    const auto result = batcher.process(1).get();
#else
    const auto result = batcher.process(1);
#endif
    return result * 2;
}

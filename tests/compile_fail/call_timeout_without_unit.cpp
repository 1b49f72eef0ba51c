// expect: a duration needs a unit
#include <batcher.hpp>

using namespace std::chrono_literals;

int call(batching::Batcher<int, int>& batcher) {
#if defined(CORRECTED)
    return batcher.process(1, {.timeout = 5ms}).get();
#else
    return batcher.process(1, {.timeout = 5}).get();
#endif
}

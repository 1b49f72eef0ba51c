// expect: time_out
#include <batcher.hpp>

using namespace std::chrono_literals;

int call(batching::Batcher<int, int>& batcher) {
#if defined(CORRECTED)
    return batcher.process(1, batching::CallOptions{.timeout = 5ms}).get();
#else
    return batcher.process(1, batching::CallOptions{.time_out = 5ms}).get();
#endif
}

// expect: a_duration_needs_a_unit_write_5ms_not_5
#include <batcher.hpp>

using namespace std::chrono_literals;

int call(batching::Batcher<int, int>& batcher) {
#if defined(CORRECTED)
    return batcher.process(1, {.timeout = 5ms}).get();
#else
    return batcher.process(1, {.timeout = 5}).get();
#endif
}

// expect: ignoring return
#include <batcher.hpp>

// An operation that is not awaited, started or got does nothing: forgetting that is pointed out.
void forget(batching::Batcher<int, int>& batcher) {
#if defined(CORRECTED)
    batcher.process(1).get();
#else
#pragma GCC diagnostic error "-Wunused-result"
    batcher.process(1);
#endif
}

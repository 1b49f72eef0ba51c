// expect: it cannot be called on a const Batcher
#include <batcher.hpp>

#if defined(CORRECTED)
int call(batching::Batcher<int, int>& batcher) {
#else
int call(const batching::Batcher<int, int>& batcher) {
#endif
    return batcher.process(1).get();
}

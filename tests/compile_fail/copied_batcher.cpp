// expect: deleted
#include <batcher.hpp>

#if defined(CORRECTED)
int call(batching::Batcher<int, int>& batcher);
#else
int call(batching::Batcher<int, int> batcher);
#endif

int call_with(batching::Batcher<int, int>& batcher) { return call(batcher); }

// expect: a batch function returns one result per item
#include <batcher.hpp>

void make() {
#if defined(CORRECTED)
    batching::Batcher batcher{[](std::vector<int> items) { return items; }};
#else
    batching::Batcher batcher{[](std::vector<int> items) { return items.size(); }};
#endif
}

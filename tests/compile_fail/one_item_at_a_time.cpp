// expect: a batch function takes its items as one std::vector<In>
#include <batcher.hpp>

void make() {
#if defined(CORRECTED)
    batching::Batcher batcher{[](std::vector<int> items) { return items; }};
#else
    batching::Batcher batcher{[](int item) { return std::vector<int>{item}; }};
#endif
}

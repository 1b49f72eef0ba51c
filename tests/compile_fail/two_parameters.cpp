// expect: after its items a batch function takes nothing but const batching::BatchInfo&
#include <batcher.hpp>

std::vector<int> scale(std::vector<int> items, int factor);

void make() {
#if defined(CORRECTED)
    batching::Batcher batcher{[](std::vector<int> items) { return scale(std::move(items), 2); }};
#else
    batching::Batcher batcher{scale};
#endif
}

// expect: after its items a batch function takes nothing but const batching::BatchInfo&
#include <batcher.hpp>

std::vector<int> scale(std::vector<int> items, const batching::BatchInfo& batch, int factor);

void make() {
#if defined(CORRECTED)
    batching::Batcher batcher{[](std::vector<int> items, const batching::BatchInfo& batch) {
        return scale(std::move(items), batch, 2);
    }};
#else
    batching::Batcher batcher{scale};
#endif
}

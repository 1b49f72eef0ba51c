// expect: this function cannot be called with this Batcher's items
#include <batcher.hpp>
#include <string>

std::vector<int> lengths(const std::vector<std::string>& items);

void make() {
#if defined(CORRECTED)
    batching::Batcher<std::string, int> batcher{lengths};
#else
    batching::Batcher<int, int> batcher{lengths};
#endif
}

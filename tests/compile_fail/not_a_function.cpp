// expect: a batch function is something callable: a function, a lambda or a function object
#include <batcher.hpp>

std::vector<int> identity(std::vector<int> items);

void make() {
#if defined(CORRECTED)
    batching::Batcher batcher{identity};
#else
    batching::Batcher batcher{42};
#endif
}

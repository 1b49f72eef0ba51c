// expect: this function's results are not this Batcher's Out
#include <batcher.hpp>

std::vector<double> halve(std::vector<int> items);

void make() {
#if defined(CORRECTED)
    batching::Batcher<int, double> batcher{halve};
#else
    batching::Batcher<int, float> batcher{halve};
#endif
}

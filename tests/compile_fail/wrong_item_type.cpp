// expect: process() takes one item of this Batcher
#include <batcher.hpp>
#include <string>

std::vector<double> halve(std::vector<int> items);

double call(batching::Batcher<int, double>& batcher) {
#if defined(CORRECTED)
    return batcher.process(3).get();
#else
    return batcher.process(std::string("three")).get();
#endif
}

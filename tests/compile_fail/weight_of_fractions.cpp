// expect: a whole number: a std::size_t
#include <batcher.hpp>
#include <string>
#include <vector>

std::vector<int> lengths(std::vector<std::string> items);

#if defined(CORRECTED)
int weight_of(const std::string& item);
#else
double weight_of(const std::string& item);
#endif
batching::Batcher batcher{lengths, {}, batching::weigh(weight_of)};

// expect: weigh(f) calls f with a const In&
#include <batcher.hpp>
#include <string>
#include <vector>

std::vector<int> lengths(std::vector<std::string> items);

#if defined(CORRECTED)
std::size_t weight_of(const std::string& item);
#else
std::string weight_of(const std::string& item);
#endif
batching::Batcher batcher{lengths, {}, batching::weigh(weight_of)};

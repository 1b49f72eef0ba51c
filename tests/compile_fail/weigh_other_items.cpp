// expect: weigh(f) calls f with a const In&
#include <batcher.hpp>
#include <string>
#include <vector>

std::vector<int> lengths(std::vector<std::string> items);

#if defined(CORRECTED)
std::size_t length(const std::string& item);
#else
std::size_t length(std::string& item);
#endif
batching::Batcher batcher{lengths, {}, batching::weigh(length)};

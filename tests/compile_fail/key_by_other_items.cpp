// expect: key_by(f) calls f with a const In&
#include <batcher.hpp>
#include <string>
#include <vector>

std::vector<int> lengths(std::vector<std::string> items);

#if defined(CORRECTED)
std::string tenant(const std::string& item);
#else
std::string tenant(int item);
#endif
batching::Batcher batcher{lengths, {}, batching::key_by(tenant)};

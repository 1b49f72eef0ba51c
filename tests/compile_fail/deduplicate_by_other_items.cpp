// expect: deduplicate_by(f) calls f with a const In&
#include <batcher.hpp>
#include <string>
#include <vector>

std::vector<int> lengths(std::vector<std::string> items);

#if defined(CORRECTED)
int id(const std::string& item);
#else
int id(int item);
#endif
batching::Batcher batcher{lengths, {}, batching::deduplicate_by(id)};

// expect: deduplicate() compares the items: this Batcher's In needs ==, a std::hash and a copy constructor
#include <batcher.hpp>
#include <memory>
#include <vector>

std::vector<int> load(std::vector<std::unique_ptr<int>> items);

#if defined(CORRECTED)
int value(const std::unique_ptr<int>& item);
batching::Batcher batcher{load, {}, batching::deduplicate_by(value)};
#else
batching::Batcher batcher{load, {}, batching::deduplicate()};
#endif

// expect: this Batcher's Out cannot be copied
#include <batcher.hpp>
#include <memory>
#include <vector>

#if defined(CORRECTED)
std::vector<std::shared_ptr<int>> load(std::vector<int> items);
#else
std::vector<std::unique_ptr<int>> load(std::vector<int> items);
#endif
batching::Batcher batcher{load, {}, batching::deduplicate()};

// expect: at most one rule of a kind
#include <batcher.hpp>
#include <vector>

std::vector<int> echo(std::vector<int> items);
std::size_t weight_of(int item);

#if defined(CORRECTED)
batching::Batcher batcher{echo, {}, batching::weigh(weight_of)};
#else
batching::Batcher batcher{echo, {}, batching::deduplicate(), batching::deduplicate_by(weight_of)};
#endif

// expect: the rules come after the options, which are {} if there is nothing to set
#include <batcher.hpp>
#include <vector>

std::vector<int> echo(std::vector<int> items);

#if defined(CORRECTED)
batching::Batcher batcher{echo, {.max_batch_size = 64}, batching::deduplicate()};
#else
batching::Batcher batcher{echo, batching::deduplicate(), {.max_batch_size = 64}};
#endif

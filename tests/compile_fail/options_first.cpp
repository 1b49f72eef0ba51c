// expect: the options come after the batch function
#include <batcher.hpp>
#include <vector>

std::vector<int> echo(std::vector<int> items);

#if defined(CORRECTED)
batching::Batcher batcher{echo, batching::Options{.max_batch_size = 64}};
#else
batching::Batcher batcher{batching::Options{.max_batch_size = 64}, echo};
#endif

// expect: after the batch function come its options, with their names
#include <batcher.hpp>
#include <vector>

std::vector<int> echo(std::vector<int> items);

#if defined(CORRECTED)
batching::Batcher batcher{echo, {.max_batch_size = 64}};
#else
batching::Batcher batcher{echo, 64};
#endif

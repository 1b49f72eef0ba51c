// expect: max_batchsize
#include <batcher.hpp>

std::vector<int> echo(std::vector<int> items);

#if defined(CORRECTED)
batching::Batcher batcher{echo, batching::Options{.max_batch_size = 64}};
#else
batching::Batcher batcher{echo, batching::Options{.max_batchsize = 64}};
#endif

// expect: is a field misspelt? `batching::Options{...}` in its place says which
#include <batcher.hpp>

std::vector<int> echo(std::vector<int> items);

#if defined(CORRECTED)
batching::Batcher batcher{echo, {.max_batch_size = 64}};
#else
batching::Batcher batcher{echo, {.max_batchsize = 64}};
#endif

// expect: after the options come rules, and nothing else
#include <batcher.hpp>
#include <vector>

std::vector<int> echo(std::vector<int> items);
std::size_t weight_of(int item);

#if defined(CORRECTED)
batching::Batcher batcher{echo, {.max_batch_size = 64}, batching::weigh(weight_of)};
#else
batching::Batcher batcher{echo, {.max_batch_size = 64}, weight_of};
#endif

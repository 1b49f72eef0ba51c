// expect: replicas(n, make) calls make(i) for the batch function of replica i
#include <batcher.hpp>
#include <cstddef>
#include <vector>

std::vector<int> echo(std::vector<int> items);

#if defined(CORRECTED)
batching::Batcher batcher{batching::replicas(2, [](std::size_t) { return echo; })};
#else
batching::Batcher batcher{batching::replicas(2, echo)};
#endif

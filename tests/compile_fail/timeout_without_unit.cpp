// expect: a duration needs a unit
#include <batcher.hpp>

using namespace std::chrono_literals;

std::vector<int> echo(std::vector<int> items);

#if defined(CORRECTED)
batching::Batcher none{echo, {.batch_timeout = 0}};
batching::Batcher some{echo, {.batch_timeout = 5ms}};
#else
batching::Batcher some{echo, {.batch_timeout = 5}};
#endif

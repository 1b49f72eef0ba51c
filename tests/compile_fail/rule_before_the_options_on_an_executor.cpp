// expect: the rules come after the options, which are {} if there is nothing to set
#include <batcher.hpp>
#include <vector>

std::vector<int> echo(std::vector<int> items);

void deploy(batching::asio::io_context& context) {
#if defined(CORRECTED)
    batching::Batcher batcher{context, echo, {.max_batch_size = 64}, batching::deduplicate()};
#else
    batching::Batcher batcher{context, echo, batching::deduplicate(), {.max_batch_size = 64}};
#endif
}

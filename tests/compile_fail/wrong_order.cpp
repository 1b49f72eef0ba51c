// expect: the executor, or the execution context, comes first
#include <batcher.hpp>

std::vector<int> echo(std::vector<int> items);

void deploy(batching::asio::io_context& context) {
#if defined(CORRECTED)
    batching::Batcher batcher{context, echo};
#else
    batching::Batcher batcher{echo, context};
#endif
}

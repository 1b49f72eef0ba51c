// expect: the execution context is given by reference
#include <batcher.hpp>
#include <vector>

std::vector<int> echo(std::vector<int> items);

void call(batching::asio::io_context* context) {
#if defined(CORRECTED)
    batching::Batcher batcher{*context, echo};
#else
    batching::Batcher batcher{context, echo};
#endif
}

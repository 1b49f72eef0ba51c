// expect: an asynchronous batch function needs an executor to run on
#include <batcher.hpp>

batching::asio::awaitable<std::vector<int>> fetch(std::vector<int> items);

void make([[maybe_unused]] batching::asio::io_context& context) {
#if defined(CORRECTED)
    batching::Batcher batcher{context, fetch};
#else
    batching::Batcher batcher{fetch};
#endif
}

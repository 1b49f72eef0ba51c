// expect: an operation is awaited once: write co_await std::move(operation)
#include <batcher.hpp>
#include <utility>

batching::asio::awaitable<int> call(batching::Batcher<int, int>& batcher) {
    auto operation = batcher.process(1);
#if defined(CORRECTED)
    co_return co_await std::move(operation);
#else
    co_return co_await operation;
#endif
}

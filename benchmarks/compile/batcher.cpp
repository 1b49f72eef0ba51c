// A program with one Batcher, called in asio::awaitable and by a thread that blocks.
#include <asio.hpp>
#include <batcher.hpp>
#include <vector>

std::vector<int> twice(std::vector<int> numbers) {
    for (int& number : numbers) number *= 2;
    return numbers;
}

asio::awaitable<void> call(batching::Batcher<int, int>& batcher) { co_await batcher.process(1); }

int main() {
    batching::Batcher batcher{twice};
    asio::io_context context;
    asio::co_spawn(context, call(batcher), asio::detached);
    context.run();
    return batcher.process(2).get();
}

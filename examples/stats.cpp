// What a Batcher has done: a snapshot of counts and distributions, at any time and from any thread.
#include <fmt/format.h>

#include <asio.hpp>
#include <batcher.hpp>
#include <chrono>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

std::vector<int> squares(std::vector<int> batch) {
    std::this_thread::sleep_for(100us + 5us * batch.size());
    for (int& x : batch) x *= x;
    return batch;
}

asio::awaitable<void> ask_often(batching::Batcher<int, int>& batcher) {
    for (int i = 0; i < 100; ++i) co_await batcher.process(i);
}

int main() {
    batching::Batcher batcher{squares};
    asio::io_context context;
    for (int i = 0; i < 100; ++i) asio::co_spawn(context, ask_often(batcher), asio::detached);
    context.run();

    const batching::Stats stats = batcher.stats();
    fmt::print("{}\n\n", stats);
    fmt::print("{} calls took {} batches; one item in a hundred waited {} us or more\n",
               stats.completed, stats.batch_size.count(),
               std::chrono::duration_cast<std::chrono::microseconds>(stats.wait_time.quantile(0.99))
                   .count());
}

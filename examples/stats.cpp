// Why is it slow, and what helps? stats() says what the batches are like, and ends with a sentence that says what limits
// them and what to try. Here it is tried, twice.
#include <fmt/format.h>

#include <asio.hpp>
#include <batcher.hpp>
#include <chrono>
#include <cstddef>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

// A call takes 500 us, and 5 us for each item.
std::vector<int> squares(std::vector<int> batch) {
    std::this_thread::sleep_for(500us + 5us * batch.size());
    for (int& x : batch) x *= x;
    return batch;
}

asio::awaitable<void> ask_often(batching::Batcher<int, int>& batcher) {
    for (int i = 0; i < 100; ++i) co_await batcher.process(i);
}

// A hundred callers, who ask a hundred times each. Returns how many calls a second that were.
double load(batching::Batcher<int, int>& batcher) {
    asio::io_context context;
    for (int i = 0; i < 100; ++i) asio::co_spawn(context, ask_often(batcher), asio::detached);
    const auto began = std::chrono::steady_clock::now();
    context.run();
    return 10'000 / std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

int main() {
    batching::Batcher batcher{squares};
    for (const std::size_t size : {32UL, 128UL, 100UL}) {
        // --8<-- [start:look]
        batcher.reconfigure({.max_batch_size = size});
        const batching::Stats before = batcher.stats();
        const double calls_a_second = load(batcher);
        const batching::Stats stats = batcher.stats().since(before);
        fmt::print("max_batch_size {}: {:.0f} calls a second.\n{}\n\n", size, calls_a_second,
                   batching::diagnosis(stats));
        // --8<-- [end:look]
    }
    fmt::print("All together:\n{}\n", batcher.stats());
}

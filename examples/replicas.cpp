// A model on each of several devices: every replica has its own, and runs one batch at a time.
#include <fmt/format.h>

#include <array>
#include <asio.hpp>
#include <batcher.hpp>
#include <chrono>
#include <span>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

// --8<-- [start:model]
// The answer to every item is the device it was computed on.
class Model {
public:
    explicit Model(std::size_t device) : device_(device) {
        fmt::print("a model is loaded on device {}\n", device_);
    }

    std::vector<std::size_t> operator()(std::span<const int> batch) {
        std::this_thread::sleep_for(5ms);  // what a device takes
        return std::vector<std::size_t>(batch.size(), device_);
    }

private:
    std::size_t device_;
};
// --8<-- [end:model]

asio::awaitable<void> ask(batching::Batcher<int, std::size_t>& batcher, int item,
                          std::array<int, 2>& answered) {
    const std::size_t device = co_await batcher.process(item);
    ++answered[device];
}

int main() {
    // --8<-- [start:batcher]
    batching::Batcher batcher{batching::replicas(2, [](std::size_t i) { return Model(i); }),
                              {.max_batch_size = 10}};
    // --8<-- [end:batcher]
    std::array<int, 2> answered{};
    asio::io_context context;
    for (int item = 0; item < 100; ++item) {
        asio::co_spawn(context, ask(batcher, item, answered), asio::detached);
    }
    context.run();
    fmt::print("device 0 answered {} items, device 1 {}\n", answered[0], answered[1]);
}

// Plain threads, no coroutine, no event loop: .get() blocks its thread until the result is there.
#include <fmt/format.h>

#include <batcher.hpp>
#include <chrono>
#include <span>
#include <string>
#include <thread>
#include <vector>

std::vector<std::size_t> lengths(std::span<const std::string> words) {
    fmt::print("one call for {} words\n", words.size());
    std::vector<std::size_t> result;
    for (const std::string& word : words) result.push_back(word.size());
    return result;
}

int main() {
    using namespace std::chrono_literals;
    batching::Batcher batcher{lengths, {.max_batch_size = 4, .batch_timeout = 100ms}};

    std::vector<std::thread> threads;
    for (const std::string word : {"one", "three", "eleven", "thousand"}) {
        threads.emplace_back([&batcher, word] {
            // --8<-- [start:call]
            const std::size_t length = batcher.process(word).get();
            // --8<-- [end:call]
            fmt::print("\"{}\" has {} letters\n", word, length);
        });
    }
    for (std::thread& thread : threads) thread.join();
}

// Batch functions made around a batch function: a bad item fails alone, and only certain sizes are called with.
#include <fmt/format.h>

#include <asio.hpp>
#include <batcher.hpp>
#include <future>
#include <stdexcept>
#include <string>
#include <vector>

// --8<-- [start:function]
// All or nothing, as a transaction is, and only for the sizes that it was compiled for.
std::vector<std::string> name_all(const std::vector<int>& batch) {
    fmt::print("called with {}\n", batch.size());
    std::vector<std::string> texts;
    for (const int number : batch) {
        if (number < 0) throw std::domain_error(fmt::format("{} is negative", number));
        texts.push_back(fmt::format("#{}", number));
    }
    return texts;
}
// --8<-- [end:function]

int main() {
    using namespace batching;
    // --8<-- [start:batcher]
    Batcher batcher{isolate_failures(pad_to({8, 16, 32}, name_all))};
    // --8<-- [end:batcher]
    std::vector<std::future<std::string>> answers;
    for (int number = -1; number < 11; ++number) {
        answers.push_back(batcher.async_process(number, asio::use_future));
    }
    for (auto& answer : answers) {
        try {
            fmt::print("{} ", answer.get());
        } catch (const std::domain_error& error) {
            fmt::print("[{}] ", error.what());
        }
    }
    fmt::print("\n");
}

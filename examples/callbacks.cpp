// async_process() takes any Asio completion token: a function, asio::use_future, a slot ...
#include <fmt/format.h>

#include <asio.hpp>
#include <batcher.hpp>
#include <exception>
#include <future>
#include <string_view>
#include <vector>

std::vector<int> squares(std::vector<int> batch) {
    fmt::print("one call for {} numbers\n", batch.size());
    for (int& x : batch) x *= x;
    return batch;
}

// Every call completes with an exception, or with null and its result.
void print(std::string_view who, const std::exception_ptr& error, int square) {
    try {
        if (error) std::rethrow_exception(error);
        fmt::print("{} gets {}\n", who, square);
    } catch (const std::exception& e) {
        fmt::print("{} gets an error: {}\n", who, e.what());
    }
}

int main() {
    asio::io_context context;  // given one, the Batcher starts no thread: all happens in run()
    batching::Batcher batcher{context, squares};

    // --8<-- [start:function]
    batcher.async_process(3, [](const std::exception_ptr& error, int square) {
        print("the function", error, square);
    });
    // --8<-- [end:function]

    // --8<-- [start:future]
    std::future<int> future = batcher.async_process(4, asio::use_future);
    // --8<-- [end:future]

    // --8<-- [start:cancel]
    asio::cancellation_signal signal;
    const auto done = [](const std::exception_ptr& error, int square) {
        print("the cancelled call", error, square);
    };
    batcher.async_process(5, asio::bind_cancellation_slot(signal.slot(), done));
    signal.emit(asio::cancellation_type::total);  // it still waits, so it leaves the queue
    // --8<-- [end:cancel]

    context.run();
    fmt::print("the future gets {}\n", future.get());
}

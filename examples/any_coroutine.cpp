// process() can be awaited in any coroutine type: here our own, which knows nothing of Asio.
#include <fmt/format.h>

#include <asio.hpp>
#include <batcher.hpp>
#include <coroutine>
#include <exception>
#include <thread>
#include <vector>

// Starts when it is called, and is gone when it ends.
struct Task {
    struct promise_type {
        Task get_return_object() noexcept { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() noexcept {}
        void unhandled_exception() noexcept { std::terminate(); }
    };
};

std::vector<int> squares(std::vector<int> batch) {
    for (int& x : batch) x *= x;
    return batch;
}

const char* here() {
    static const std::thread::id main_thread = std::this_thread::get_id();
    return std::this_thread::get_id() == main_thread ? "the main thread" : "the Batcher's worker";
}

// --8<-- [start:caller]
Task ask(batching::Batcher<int, int>& batcher, asio::io_context& context, int x) {
    const auto work = asio::make_work_guard(context);  // so that run() does not return meanwhile

    int y = co_await batcher.process(x);
    fmt::print("the square of {} is {}; resumed on {}\n", x, y, here());

    int z = co_await batcher.process(y).resume_on(context.get_executor());
    fmt::print("the square of {} is {}; resumed on {}\n", y, z, here());
}
// --8<-- [end:caller]

int main() {
    fmt::print("starting on {}\n", here());
    batching::Batcher batcher{squares};
    asio::io_context context;
    ask(batcher, context, 3);
    context.run();
}

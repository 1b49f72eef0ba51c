// expect: an operation is awaited once: write co_await std::move(operation)
#include <batcher.hpp>
#include <coroutine>
#include <utility>

struct Task {
    struct promise_type {
        Task get_return_object() { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() {}
    };
};

Task call(batching::Batcher<int, int>& batcher) {
    auto operation = batcher.process(1);
#if defined(CORRECTED)
    co_await std::move(operation);
#else
    co_await operation;
#endif
}

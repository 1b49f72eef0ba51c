// drain() completes after the results were handed to their executors. And one that is cancelled by its slot, or destroyed with its coroutine, at the very moment when the last
// batch finishes on another thread, completes exactly once, with nothing or with operation_aborted, or
// was destroyed.

#include "support.hpp"

#include <memory>

namespace {

using namespace stress;

using Batcher = batching::Batcher<int, int>;

Frame await_drain(Batcher& batcher, asio::any_io_executor executor, int& completions) {
    try {
        co_await batcher.drain().resume_on(executor);
    } catch (...) {
        check(is_aborted(std::current_exception()), "drain() fails with operation_aborted alone");
    }
    ++completions;
}

}  // namespace

int main() {
    const Watchdog watchdog(60s);
    std::uint64_t rounds = 0, cancelled = 0, drained = 0;
    const auto end = Clock::now() + duration();
    for (; Clock::now() < end; ++rounds) {
        asio::io_context home;
        const auto delay = std::chrono::nanoseconds(below(20'000));
        Batcher batcher(
            [delay](std::vector<int> batch) {
                const auto until = Clock::now() + delay;
                while (Clock::now() < until) {
                }
                return batch;
            },
            {.max_batch_size = 1});
        bool answered = false;
        batcher.async_process(1, asio::bind_executor(home, [&](auto, int) { answered = true; }));
        constexpr int n = 4;
        int completions[n] = {};
        int destroyed[n] = {};
        asio::cancellation_signal signals[n];
        Frame frames[n];
        for (int i = 0; i < n; ++i) {
            if (i % 2 == 0) {
                batcher.async_drain(asio::bind_cancellation_slot(
                    signals[i].slot(),
                    asio::bind_executor(home, [&, i](const std::exception_ptr& error) {
                        check(!error || is_aborted(error),
                              "drain() fails with operation_aborted alone");
                        ++(error ? cancelled : drained);
                        ++completions[i];
                    })));
            } else {
                frames[i] = await_drain(batcher, home.get_executor(), completions[i]);
            }
        }
        const auto until = Clock::now() + std::chrono::nanoseconds(below(40'000));
        while (Clock::now() < until) home.poll();
        home.restart();
        for (int i = 0; i < n; ++i) {
            if (i % 2 == 0) {
                signals[i].emit(asio::cancellation_type::terminal);
            } else {
                destroyed[i] = completions[i] == 0 ? 1 : 0;
                frames[i] = Frame();
            }
        }
        batcher.drain().get();
        home.restart();
        home.poll();
        check(answered, "drain() completes after the results were handed to their executors");
        for (int i = 0; i < n; ++i) {
            const auto limit = Clock::now() + 10s;
            while (completions[i] + destroyed[i] == 0 && Clock::now() < limit) {
                home.restart();
                home.poll();
            }
        }
        home.restart();
        home.poll();
        for (int i = 0; i < n; ++i)
            check(completions[i] + destroyed[i] == 1, "drain() completes once");
    }
    fmt::print("{} rounds: {} drained, {} cancelled\n", rounds, drained, cancelled);
    return result();
}

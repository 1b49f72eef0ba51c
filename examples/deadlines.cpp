// Overload: callers come faster than the function can serve them, and none of them waits for longer than 100 ms.
//
// Without a timeout all are answered in the order of their arrival, later and later: soon nobody gets an answer in time,
// though the function works all the time. With it, work that would be too late is not begun.
#include <fmt/format.h>

#include <asio.hpp>
#include <batcher.hpp>
#include <chrono>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto patience = 100ms;
constexpr int callers = 3'000;  // in 1.5 seconds: 2,000 a second
constexpr auto every = 10ms;    // 20 callers come

// 8 ms for up to 8 items: at most 1,000 a second.
std::vector<int> slow(std::vector<int> batch) {
    std::this_thread::sleep_for(4ms + 500us * batch.size());
    return batch;
}

struct Outcome {
    int in_time = 0;
    int too_late = 0;
    int refused = 0;
    int expired = 0;
};

// --8<-- [start:caller]
asio::awaitable<void> call(batching::Batcher<int, int>& batcher, int item,
                           batching::CallOptions options, Outcome& outcome) {
    const auto began = Clock::now();
    try {
        co_await batcher.process(item, options);
        ++(Clock::now() - began <= patience ? outcome.in_time : outcome.too_late);
    } catch (const batching::Error& error) {
        if (error.code() == batching::errc::overloaded) {
            ++outcome.refused;  // at once; error.retry_after() says when to try again
        } else {
            ++outcome.expired;  // errc::deadline_exceeded
        }
    }
}
// --8<-- [end:caller]

asio::awaitable<void> come(batching::Batcher<int, int>& batcher, batching::CallOptions options,
                           Outcome& outcome) {
    const auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor, Clock::now());
    for (int item = 0; item < callers; item += 20) {
        for (int i = item; i < item + 20; ++i) {
            asio::co_spawn(executor, call(batcher, i, options, outcome), asio::detached);
        }
        timer.expires_at(timer.expiry() + every);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

void overload(const char* name, batching::CallOptions options) {
    batching::Batcher batcher{slow, {.max_batch_size = 8, .batch_timeout = 0}};
    Outcome outcome;
    asio::io_context context;
    asio::co_spawn(context, come(batcher, options, outcome), asio::detached);
    context.run();
    fmt::print("{:16} {:8} {:9} {:8} {:8}\n", name, outcome.in_time, outcome.too_late,
               outcome.refused, outcome.expired);
}

int main() {
    fmt::print("{} callers, twice as many as can be served\n\n", callers);
    fmt::print("{:16} {:>8} {:>9} {:>8} {:>8}\n", "", "in time", "too late", "refused", "expired");
    overload("without timeout", {});
    overload("with a timeout", {.timeout = patience});
}

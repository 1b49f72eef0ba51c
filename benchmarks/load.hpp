// The callers of the benchmarks: in a closed loop, each calls again as soon as it has its result.
//
// What calls is the same for every contender, so that only the batcher differs. Each result is checked.
#pragma once

#include <asio.hpp>
#include <atomic>
#include <coroutine>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <functional>
#include <measure.hpp>
#include <utility>

namespace bench {

// A coroutine that starts when it is called and is gone when it ends; it knows nothing of Asio.
struct Task {
    struct promise_type {
        Task get_return_object() noexcept { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() noexcept {}
        void unhandled_exception() noexcept { std::terminate(); }
    };
};

inline void check_result(int x, int y) {
    if (y == 2 * x) return;
    fmt::print(stderr, "wrong result: twice {} is not {}\n", x, y);
    std::abort();
}

// ---- closed loops ---------------------------------------------------------------------------------------

// One run: over once the callers of every lap have done their items.
class ClosedLoop {
public:
    explicit ClosedLoop(std::size_t laps) : laps_left_(laps) {}

    bool over() const noexcept { return over_.load(std::memory_order_relaxed); }
    void lap_is_done() noexcept {
        if (laps_left_.fetch_sub(1) == 1) over_.store(true);
    }

    // What to do when all callers have ended; then the run is really finished.
    void when_finished(std::function<void()> action) { finished_ = std::move(action); }
    void expect(std::size_t callers) noexcept { callers_left_.fetch_add(callers); }
    void caller_ends() {
        if (callers_left_.fetch_sub(1) == 1 && finished_) finished_();
    }
    std::size_t callers_left() const noexcept { return callers_left_.load(); }

private:
    alignas(64) std::atomic<bool> over_{false};
    alignas(64) std::atomic<std::size_t> laps_left_;
    std::atomic<std::size_t> callers_left_{0};
    std::function<void()> finished_;
};

// The clock of one lap: from the item that ends the warm-up to the last that counts.
class LapClock {
public:
    LapClock(ClosedLoop& loop, std::size_t warm_up, std::size_t items)
        : loop_(loop), first_(warm_up), last_(warm_up + items) {}

    void item(std::size_t n) {
        if (n == first_) {
            began_ = Clock::now();
        } else if (n == last_) {
            ended_ = Clock::now();
            loop_.lap_is_done();
        }
    }

    ClosedLoop& loop() const noexcept { return loop_; }
    Clock::time_point began() const noexcept { return began_; }
    Clock::time_point ended() const noexcept { return ended_; }

private:
    ClosedLoop& loop_;
    std::size_t first_;
    std::size_t last_;
    Clock::time_point began_;
    Clock::time_point ended_;
};

// The callers of one thread count their items together.
class alignas(64) Lap {
public:
    Lap(ClosedLoop& loop, std::size_t warm_up, std::size_t items) : clock_(loop, warm_up, items) {}
    bool over() const noexcept { return clock_.loop().over(); }
    void count() { clock_.item(++done_); }
    void caller_ends() { clock_.loop().caller_ends(); }
    const LapClock& clock() const noexcept { return clock_; }

private:
    LapClock clock_;
    std::size_t done_ = 0;
};

// The same for callers that run on any thread.
class SharedLap {
public:
    SharedLap(ClosedLoop& loop, std::size_t warm_up, std::size_t items)
        : clock_(loop, warm_up, items) {}
    bool over() const noexcept { return clock_.loop().over(); }
    void count() { clock_.item(done_.fetch_add(1, std::memory_order_relaxed) + 1); }
    void caller_ends() { clock_.loop().caller_ends(); }
    const LapClock& clock() const noexcept { return clock_; }

private:
    LapClock clock_;
    alignas(64) std::atomic<std::size_t> done_{0};
};

// Small numbers, whose doubles fit into an int.
inline int next_number(int x) { return (x + 1) & 0xffffff; }

template <class Batcher, class LapType>
Task call_again_and_again(Batcher& batcher, LapType& lap, int x) {
    while (!lap.over()) {
        const int y = co_await batcher.process(x);
        check_result(x, y);
        x = next_number(x);
        lap.count();
    }
    lap.caller_ends();
}

template <class Batcher, class LapType>
asio::awaitable<void> call_again_and_again_in_awaitable(Batcher& batcher, LapType& lap, int x) {
    while (!lap.over()) {
        const int y = co_await batcher.process(x);
        check_result(x, y);
        x = next_number(x);
        lap.count();
    }
    lap.caller_ends();
}

template <class Batcher>
void block_again_and_again(Batcher& batcher, SharedLap& lap, int x) {
    while (!lap.over()) {
        const int y = batcher.process(x);
        check_result(x, y);
        x = next_number(x);
        lap.count();
    }
}

// The two kinds of coroutine that call.
struct PlainCoroutines {
    template <class Context, class Batcher, class LapType>
    static void start(Context& context, Batcher& batcher, LapType& lap, int x) {
        asio::post(context, [&batcher, &lap, x] { call_again_and_again(batcher, lap, x); });
    }
};
struct Awaitables {
    template <class Batcher, class LapType>
    static void start(asio::io_context& context, Batcher& batcher, LapType& lap, int x) {
        asio::co_spawn(context, call_again_and_again_in_awaitable(batcher, lap, x), asio::detached);
    }
};

}  // namespace bench

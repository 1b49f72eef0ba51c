// Calls that are cancelled by their slots, from their own strands, while they wait, run and are about to be
// resumed; coroutines that are destroyed in all of these states; flush(), cancel(), stats(), close() and
// drain() from other threads. Every call completes exactly once, or was destroyed.

#include "support.hpp"

#include <deque>
#include <memory>

namespace {

using namespace stress;

using Batcher = batching::Batcher<int, int>;
using Strand = asio::strand<asio::thread_pool::executor_type>;

struct Totals {
    std::atomic<std::uint64_t> values{0}, aborted{0}, closed{0}, destroyed{0};
} totals;

// One call. All but `open` is touched on its strand alone.
struct Call {
    explicit Call(std::atomic<int>& o) : open(o) { ++open; }
    std::atomic<int>& open;
    bool over = false;
    asio::cancellation_signal signal;
    Frame frame;

    void finish() {
        check(!over, "a call completes once");
        over = true;
        --open;
    }
    void complete(const std::exception_ptr& error, bool right) {
        if (!error) {
            check(right, "a caller gets the result of its own item");
            ++totals.values;
        } else if (is_aborted(error)) {
            ++totals.aborted;
        } else {
            check(is(error, batching::errc::closed),
                  "a call completes, is cancelled or is refused");
            ++totals.closed;
        }
        finish();
    }
    void destroy() {
        if (!over) {
            ++totals.destroyed;
            finish();
        }
        frame = Frame();
    }
};

Frame await_one(Batcher& batcher, int item, Call& call, Strand strand) {
    std::exception_ptr error;
    int result = 0;
    try {
        result = co_await batcher.process(item).resume_on(strand);
    } catch (...) {
        error = std::current_exception();
    }
    call.complete(error, result == -item);
}

Frame await_many(Batcher& batcher, int item, Call& call, Strand strand) {
    std::exception_ptr error;
    std::vector<int> results;
    try {
        std::vector<int> items(3, item);
        results = co_await batcher.process_many(std::move(items)).resume_on(strand);
    } catch (...) {
        error = std::current_exception();
    }
    call.complete(error, results == std::vector<int>(3, -item));
}

Frame await_drain(Batcher& batcher, Call& call, Strand strand) {
    std::exception_ptr error;
    try {
        co_await batcher.drain().resume_on(strand);
    } catch (...) {
        error = std::current_exception();
    }
    call.complete(error, true);
}

asio::cancellation_type some_type() {
    const asio::cancellation_type types[] = {asio::cancellation_type::total,
                                             asio::cancellation_type::partial,
                                             asio::cancellation_type::terminal};
    return types[below(3)];
}

// Whatever happens to a call later, on its strand: nothing, a signal or its destruction.
void meddle(const std::shared_ptr<Call>& call, const Strand& strand, bool is_frame) {
    if (below(4) == 0) {
        if (is_frame)
            call->destroy();
        else
            call->signal.emit(some_type());
        return;
    }
    const auto timer =
        std::make_shared<asio::steady_timer>(strand, std::chrono::microseconds(below(400)));
    timer->async_wait([call, timer, is_frame](auto) {
        if (is_frame)
            call->destroy();
        else
            call->signal.emit(some_type());
    });
}

// On `strand`.
void start_call(Batcher& batcher, const Strand& strand, std::atomic<int>& open, bool drain) {
    const auto call = std::make_shared<Call>(open);
    const int item = static_cast<int>(below(1000));
    const auto handler = [call, item](const std::exception_ptr& error, auto... results) {
        bool right = true;
        if constexpr (sizeof...(results) == 1) {
            if constexpr ((std::same_as<decltype(results), int> && ...)) {
                right = ((results == -item) && ...);
            } else {
                right = ((results == std::vector<int>(3, -item)) && ...);
            }
        }
        call->complete(error, right);
    };
    const auto token = [&] {
        return asio::bind_cancellation_slot(call->signal.slot(),
                                            asio::bind_executor(strand, handler));
    };
    const bool is_frame = below(2) == 0;
    const bool many = below(4) == 0;
    if (is_frame) {
        call->frame = drain  ? await_drain(batcher, *call, strand)
                      : many ? await_many(batcher, item, *call, strand)
                             : await_one(batcher, item, *call, strand);
    } else if (drain) {
        batcher.async_drain(token());
    } else if (many) {
        batcher.async_process_many(std::vector<int>(3, item), token());
    } else {
        batcher.async_process(item, token());
    }
    // A frame has to be held by somebody until it is over.
    if (is_frame || below(3) > 0) meddle(call, strand, is_frame);
}

std::vector<int> negate(std::vector<int> batch) {
    pause(100);
    for (int& i : batch) i = -i;
    return batch;
}

template <class Make>
void round(asio::thread_pool& pool, Make make) {
    std::atomic<int> open{0};
    std::atomic<bool> stop{false};
    std::optional<Batcher> batcher(make());
    std::vector<Strand> strands;
    for (int i = 0; i < 4; ++i) strands.push_back(asio::make_strand(pool.get_executor()));
    std::vector<std::thread> threads;
    for (const Strand& strand : strands) {
        threads.emplace_back([&] {
            while (!stop) {
                if (open < 200) {
                    asio::post(strand, [&] { start_call(*batcher, strand, open, false); });
                }
                pause(20);
            }
            for (int i = 0; i < 3; ++i) {
                asio::post(strand, [&] { start_call(*batcher, strand, open, true); });
                asio::post(strand, [&] { start_call(*batcher, strand, open, false); });
            }
        });
    }
    const auto end = Clock::now() + 50ms;
    while (Clock::now() < end) {
        switch (below(3)) {
            case 0:
                batcher->flush();
                break;
            case 1:
                batcher->cancel();
                break;
            default:
                check_sum(batcher->stats());
        }
        pause(300);
    }
    stop = true;
    for (auto& thread : threads) thread.join();
    batcher->drain().get();
    for (const Strand& strand : strands) {
        asio::post(strand, asio::use_future([] {}))
            .get();  // what was posted before has been started
    }
    batcher->drain().get();
    const auto stats = batcher->stats();
    check(stats.waiting == 0 && stats.running == 0, "nothing is left after drain()");
    check_sum(stats);
    const auto limit = Clock::now() + 20s;
    while (open > 0 && Clock::now() < limit) std::this_thread::sleep_for(100us);
    check(open == 0, "every call completes or is destroyed");
    if (open > 0) std::_Exit(result());
    batcher.reset();
}

}  // namespace

int main() {
    const Watchdog watchdog(60s);
    asio::thread_pool pool(3);
    const auto end = Clock::now() + duration();
    std::uint64_t rounds = 0;
    while (Clock::now() < end) {
        const batching::Options options{.max_batch_size = 1 + below(8),
                                        .batch_timeout = std::chrono::microseconds(below(200)),
                                        .max_concurrent_batches = 1 + below(2)};
        switch (++rounds % 3) {
            case 0:
                round(pool, [&] { return Batcher(negate, options); });
                break;
            case 1:
                round(pool, [&] { return Batcher(pool, negate, options); });
                break;
            default:
                round(pool, [&] {
                    return Batcher(
                        pool,
                        [](std::vector<int> batch) -> asio::awaitable<std::vector<int>> {
                            asio::steady_timer timer(co_await asio::this_coro::executor,
                                                     std::chrono::microseconds(below(100)));
                            co_await timer.async_wait(asio::use_awaitable);
                            co_return negate(std::move(batch));
                        },
                        options);
                });
        }
    }
    pool.join();
    fmt::print("{} rounds: {} values, {} aborted, {} refused, {} destroyed\n", rounds,
               totals.values.load(), totals.aborted.load(), totals.closed.load(),
               totals.destroyed.load());
    return result();
}

// Batchers and execution contexts that are made and destroyed under load, in every order: by other threads,
// by the callers they resume, inside the batch function, with items waiting and running. Nothing crashes
// or waits for ever; who was not destroyed with his context is resumed exactly once.
//
//     lifetimes          all of them, again and again until the time is up
//     lifetimes 3        only the fourth

#include "support.hpp"

#include <memory>
#include <optional>

namespace {

using namespace stress;

using Batcher = batching::Batcher<int, int>;

std::vector<int> twice(std::vector<int> batch) {
    pause(30);
    for (int& i : batch) i *= 2;
    return batch;
}

asio::awaitable<std::vector<int>> twice_later(std::vector<int> batch) {
    asio::steady_timer timer(co_await asio::this_coro::executor,
                             std::chrono::microseconds(below(100)));
    co_await timer.async_wait(asio::use_awaitable);
    co_return twice(std::move(batch));
}

batching::Options some_options(bool timeout = false) {
    return {.max_batch_size = 1 + below(6),
            .batch_timeout = !timeout && below(4) == 0 ? batching::no_timeout
                                                       : std::chrono::microseconds(below(100)),
            .max_concurrent_batches = 1 + below(2)};
}

std::unique_ptr<Batcher> on(asio::any_io_executor executor, const batching::Options& options) {
    if (below(2) == 0) return std::make_unique<Batcher>(executor, twice, options);
    return std::make_unique<Batcher>(executor, twice_later, options);
}

// Starts `n` calls; `left` counts down as they complete.
void call(Batcher& batcher, int n, std::atomic<int>& left) {
    left += n;
    for (int i = 0; i < n; ++i) {
        batcher.async_process(i, [i, &left](const std::exception_ptr& error, int result) {
            check(error ? is_aborted(error) : result == 2 * i, "a value, or aborted");
            --left;
        });
    }
}

void wait_for_none(const std::atomic<int>& left) {
    const auto limit = Clock::now() + 20s;
    while (left > 0 && Clock::now() < limit) std::this_thread::sleep_for(50us);
    check(left == 0, "every call completes");
    if (left != 0) std::_Exit(result());
}

void destroyed_by_another_thread() {
    asio::thread_pool pool(2);
    std::atomic<int> left{0};
    for (int i = 0; i < 20; ++i) {
        auto batcher = below(3) == 0 ? std::make_unique<Batcher>(twice, some_options())
                                     : on(pool.get_executor(), some_options());
        call(*batcher, static_cast<int>(below(20)), left);
        pause(100);
        batcher.reset();
    }
    wait_for_none(left);
    pool.join();
}

void destroyed_by_a_resumed_caller() {
    asio::thread_pool pool(2);
    std::atomic<int> left{0};
    for (int i = 0; i < 20; ++i) {
        const auto batcher =
            std::make_shared<std::unique_ptr<Batcher>>(on(pool.get_executor(), some_options(true)));
        ++left;
        (*batcher)->async_process(1, [&left, batcher](const std::exception_ptr&, int) {
            batcher->reset();
            --left;
        });
    }
    wait_for_none(left);
    pool.join();
}

void destroyed_by_its_batch_function() {
    asio::thread_pool pool(2);
    std::atomic<int> left{0};
    for (int i = 0; i < 20; ++i) {
        const auto batcher = std::make_shared<std::unique_ptr<Batcher>>();
        const auto suicidal = [weak = std::weak_ptr(batcher)](std::vector<int> batch) {
            if (const auto held = weak.lock()) held->reset();
            return twice(std::move(batch));
        };
        *batcher = std::make_unique<Batcher>(
            pool, suicidal, batching::Options{.max_batch_size = 2, .max_concurrent_batches = 1});
        ++left;
        (*batcher)->async_process(1, [batcher, &left](const std::exception_ptr& error, int result) {
            check(!error && result == 2, "the batch that runs finishes");
            --left;
        });
    }
    wait_for_none(left);
    pool.join();
}

void destroyed_on_its_only_worker() {
    std::atomic<int> left{0};
    for (int i = 0; i < 5; ++i) {
        const auto batcher = std::make_shared<std::unique_ptr<Batcher>>(
            std::make_unique<Batcher>(twice, batching::Options{.max_batch_size = 2}));
        ++left;
        (*batcher)->async_process(1, [&left, batcher](const std::exception_ptr&, int) {
            batcher->reset();
            --left;
        });
    }
    wait_for_none(left);
}

// The context goes first, with items waiting and running, and callers of every kind.
void context_first() {
    for (int i = 0; i < 20; ++i) {
        std::unique_ptr<Batcher> batcher;
        asio::io_context elsewhere;
        std::vector<Frame> frames;
        std::vector<std::thread> blocked;
        {
            asio::io_context context;
            batcher = on(context.get_executor(), some_options());
            std::vector<asio::any_io_executor> executors{
                context.get_executor(), elsewhere.get_executor(), asio::make_strand(context)};
            std::uint64_t submitted = 0;
            for (int n = 0; n < 12; ++n) {
                const auto executor = executors[below(3)];
                const std::size_t kind = below(5);
                submitted += kind == 2 ? 0 : kind == 1 || kind == 4 ? 3 : 1;
                switch (kind) {
                    case 0:
                        batcher->async_process(n, asio::bind_executor(executor, [](auto, int) {}));
                        break;
                    case 1:
                        batcher->async_process_many(
                            {n, n, n},
                            asio::bind_executor(executor, [](auto, const std::vector<int>&) {}));
                        break;
                    case 2:
                        asio::co_spawn(
                            context,
                            [](Batcher& b) -> asio::awaitable<void> {
                                co_await b.process(1);
                            }(*batcher),
                            asio::detached);
                        break;
                    case 3:  // not on the strand: a strand may not outlive its context
                        frames.push_back([](Batcher& b, asio::any_io_executor ex) -> Frame {
                            co_await b.process(1).resume_on(ex);
                        }(*batcher, executors[below(2)]));
                        break;
                    default:
                        frames.push_back([](Batcher& b) -> Frame {
                            std::vector<int> items(3, 1);
                            co_await b.process_many(std::move(items));
                        }(*batcher));
                }
            }
            for (int n = 0; n < 2; ++n) {
                blocked.emplace_back([&, item = batcher->process(n)]() mutable {
                    try {
                        std::move(item).get();
                    } catch (...) {
                        check(is_aborted(std::current_exception()),
                              "get() fails with operation_aborted");
                    }
                });
            }
            while (batcher->stats().submitted < submitted + 2)
                std::this_thread::yield();  // both wait
            if (below(4) == 0) batcher->async_drain([](auto) {});
            const std::size_t handlers = below(20);
            for (std::size_t h = 0; h < handlers; ++h) context.poll_one();
        }
        for (auto& thread : blocked) thread.join();
        if (below(2) == 0) batcher.reset();
        elsewhere.poll();
    }
}

// A coroutine that is destroyed, and then the context it would have resumed on, while its batch finishes.
void home_destroyed_after_its_frame() {
    Batcher batcher(twice, {.max_batch_size = 1});
    for (int i = 0; i < 200; ++i) {
        auto home = std::make_unique<asio::io_context>();
        Frame frame = [](Batcher& b, asio::any_io_executor executor) -> Frame {
            co_await b.process(1).resume_on(executor);
        }(batcher, home->get_executor());
        pause(100);
        frame = Frame();
        home.reset();
    }
}

void moved_under_load() {
    asio::thread_pool pool(2);
    std::atomic<int> left{0};
    {
        Batcher batcher(pool, twice, some_options());
        for (int i = 0; i < 20; ++i) {
            call(batcher, 10, left);
            if (below(2) == 0)
                batcher = Batcher(twice, some_options());
            else
                batcher = std::move(*on(pool.get_executor(), some_options()));
            Batcher moved(std::move(batcher));
            call(moved, 10, left);
            batcher = std::move(moved);
        }
    }
    wait_for_none(left);
    pool.join();
}

// With other workers beside the one that destroys the Batcher.
void destroyed_on_one_of_its_workers() {
    std::atomic<int> left{0};
    for (int i = 0; i < 5; ++i) {
        const auto batcher = std::make_shared<std::unique_ptr<Batcher>>(std::make_unique<Batcher>(
            twice, batching::Options{.max_batch_size = 2, .max_concurrent_batches = 3}));
        ++left;
        (*batcher)->async_process(1, [&left, batcher](const std::exception_ptr&, int) {
            batcher->reset();
            --left;
        });
    }
    wait_for_none(left);
}

}  // namespace

int main(int argc, char** argv) {
    const Watchdog watchdog(60s);
    void (*const scenarios[])() = {destroyed_by_another_thread,
                                   destroyed_by_a_resumed_caller,
                                   destroyed_by_its_batch_function,
                                   destroyed_on_its_only_worker,
                                   context_first,
                                   home_destroyed_after_its_frame,
                                   moved_under_load,
                                   destroyed_on_one_of_its_workers};
    const auto end = Clock::now() + duration();
    std::uint64_t rounds = 0;
    while (Clock::now() < end) {
        if (argc > 1) {
            scenarios[std::atoi(argv[1])]();
        } else {
            for (const auto scenario : scenarios) scenario();
        }
        ++rounds;
    }
    fmt::print("{} rounds\n", rounds);
    return result();
}

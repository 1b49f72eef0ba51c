// Callers of every kind on every kind of executor, all at once: each gets its own result, exactly once.

#include "support.hpp"

#include <memory>
#include <string>

namespace {

using namespace stress;

using Batcher = batching::Batcher<int, std::string>;

std::vector<std::string> names(std::vector<int> batch) {
    std::vector<std::string> results;
    for (const int i : batch) results.push_back(fmt::format("the result of {} is long enough", i));
    return results;
}

struct Count {
    std::atomic<std::uint64_t> started{0};
    std::atomic<std::uint64_t> done{0};
};

void verify(Count& count, int item, const std::string& result) {
    check(result == names({item})[0], "a caller gets the result of its own item");
    ++count.done;
}

// Coroutines that call again and again, until the time is up.
asio::awaitable<void> awaitable_caller(Batcher& batcher, Count& count, int first,
                                       Clock::time_point end) {
    for (int i = first; Clock::now() < end; ++i) {
        ++count.started;
        const std::string result = co_await batcher.process(i);
        verify(count, i, result);
        if (i % 7 != 0) continue;
        std::vector<int> items(static_cast<std::size_t>(i % 5), i);
        count.started += items.size();
        const auto results = co_await batcher.process_many(std::move(items));
        for (const auto& r : results) verify(count, i, r);
    }
}

Detached coroutine_caller(Batcher& batcher, Count& count, int first, Clock::time_point end,
                          asio::any_io_executor executor, std::atomic<int>& left) {
    for (int i = first; Clock::now() < end; ++i) {
        ++count.started;
        if (executor && i % 2 == 0) {
            const std::string result = co_await batcher.process(i).resume_on(executor);
            verify(count, i, result);
        } else {
            const std::string result = co_await batcher.process(i);
            verify(count, i, result);
        }
    }
    --left;
}

void handler_caller(Batcher& batcher, Count& count, int item, Clock::time_point end,
                    const asio::any_io_executor& executor, std::atomic<int>& left) {
    if (Clock::now() >= end) {
        --left;
        return;
    }
    ++count.started;
    batcher.async_process(
        item, asio::bind_executor(executor, [&, item, end, executor](std::exception_ptr error,
                                                                     const std::string& result) {
            check(!error, "no call fails");
            verify(count, item, result);
            handler_caller(batcher, count, item + 1, end, executor, left);
        }));
}

void blocking_caller(Batcher& batcher, Count& count, int item, Clock::time_point end) {
    for (; Clock::now() < end; ++item) {
        ++count.started;
        verify(count, item, batcher.process(item).get());
        if (item % 16 != 0) continue;
        count.started += 3;
        for (const auto& result : batcher.process_many({item, item, item}).get())
            verify(count, item, result);
    }
}

void run(Batcher& batcher, const char* what) {
    Count count;
    const auto end = Clock::now() + duration() / 3;
    asio::io_context one, many;
    asio::thread_pool pool(2);
    std::atomic<int> left{0};
    {
        const Threads one_thread(one, 1);
        const Threads two_threads(many, 2);
        std::vector<std::thread> blocking;
        for (int i = 0; i < 3; ++i) {
            blocking.emplace_back([&, i] { blocking_caller(batcher, count, i * 1'000'000, end); });
        }
        for (int i = 0; i < 20; ++i) {
            const int first = i * 10'000'000;
            asio::co_spawn(one, awaitable_caller(batcher, count, first, end), asio::detached);
            asio::co_spawn(asio::make_strand(many), awaitable_caller(batcher, count, first, end),
                           asio::detached);
            left += 4;
            coroutine_caller(batcher, count, first, end, one.get_executor(), left);
            coroutine_caller(batcher, count, first, end, {}, left);
            handler_caller(batcher, count, first, end, asio::make_strand(pool), left);
            handler_caller(batcher, count, first, end, many.get_executor(), left);
        }
        for (auto& thread : blocking) thread.join();
        while (left > 0) std::this_thread::sleep_for(1ms);
    }
    pool.join();
    const auto stats = batcher.stats();
    check(count.started == count.done, "every call completes");
    check(stats.submitted == count.started, "every call is counted");
    check(stats.completed == count.done, "every result is counted");
    check(stats.waiting == 0 && stats.running == 0, "nothing is left");
    check_sum(stats);
    fmt::print("{}: {} calls, {:.1f} a batch\n", what, count.done.load(), stats.batch_size.mean());
}

}  // namespace

int main() {
    const Watchdog watchdog(60s);
    const batching::Options options{
        .max_batch_size = 16, .batch_timeout = 200us, .max_concurrent_batches = 3};
    {
        Batcher batcher(names, options);
        run(batcher, "workers of its own");
    }
    {
        asio::thread_pool pool(2);
        {
            Batcher batcher(pool, names, options);
            run(batcher, "a thread pool");
        }
        pool.join();
    }
    {
        asio::io_context context;
        const Threads thread(context, 1);
        Batcher batcher(
            context,
            [](std::vector<int> batch) -> asio::awaitable<std::vector<std::string>> {
                asio::steady_timer timer(co_await asio::this_coro::executor, 50us);
                co_await timer.async_wait(asio::use_awaitable);
                co_return names(std::move(batch));
            },
            options);
        run(batcher, "an asynchronous function on one thread");
    }
    return result();
}

// max_queue_size under contention: no more than that wait at any time, and every call is either accepted
// and completes, or is rejected.

#include "support.hpp"

namespace {

using namespace stress;

using Batcher = batching::Batcher<int, int>;
constexpr std::size_t limit = 5;

struct Count {
    std::atomic<std::uint64_t> called{0};
    std::atomic<std::uint64_t> completed{0};
    std::atomic<std::uint64_t> rejected{0};
    std::atomic<std::uint64_t> aborted{0};

    void settle(const std::exception_ptr& error, std::uint64_t items) {
        if (!error) {
            completed += items;
        } else if (is(error, batching::errc::overloaded)) {
            rejected += items;
        } else {
            check(is_aborted(error), "a call completes, is rejected or is cancelled");
            aborted += items;
        }
    }
};

void blocking_caller(Batcher& batcher, Count& count, Clock::time_point end) {
    while (Clock::now() < end) {
        const std::size_t items = 1 + below(3);
        count.called += items;
        std::exception_ptr error;
        try {
            if (items == 1) {
                check(batcher.process(1).get() == 2, "a caller gets its result");
            } else {
                const std::vector<int> results =
                    batcher.process_many(std::vector<int>(items, 1)).get();
                check(results == std::vector<int>(items, 2), "a caller gets its results");
            }
        } catch (...) {
            error = std::current_exception();
        }
        count.settle(error, items);
    }
}

// Coroutines that are destroyed while they wait or run; they count neither as completed nor as aborted.
Frame frame(Batcher& batcher, asio::any_io_executor executor, Count& count, bool& resumed) {
    std::exception_ptr error;
    try {
        co_await batcher.process(1).resume_on(executor);
    } catch (...) {
        error = std::current_exception();
    }
    resumed = true;
    count.settle(error, 1);
}

void destroying_caller(Batcher& batcher, Count& count, std::atomic<std::uint64_t>& destroyed,
                       Clock::time_point end) {
    asio::io_context context;
    while (Clock::now() < end) {
        bool resumed[4] = {};
        {
            std::vector<Frame> frames;
            for (bool& r : resumed) {
                ++count.called;
                frames.push_back(frame(batcher, context.get_executor(), count, r));
            }
            pause(100);
            context.restart();
            context.poll();
        }
        for (const bool r : resumed) destroyed += r ? 0 : 1;
    }
}

}  // namespace

int main() {
    const Watchdog watchdog(60s);
    Count count;
    std::atomic<std::uint64_t> destroyed{0};
    std::uint64_t looks = 0;
    batching::Stats stats;
    {
        Batcher batcher(
            [](std::vector<int> batch) {
                pause(50);
                for (int& i : batch) i *= 2;
                return batch;
            },
            {.max_batch_size = 4,
             .batch_timeout = 100us,
             .max_concurrent_batches = 2,
             .max_queue_size = limit});
        const auto end = Clock::now() + duration();
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&] { blocking_caller(batcher, count, end); });
        }
        for (int i = 0; i < 2; ++i) {
            threads.emplace_back([&] { destroying_caller(batcher, count, destroyed, end); });
        }
        while (Clock::now() < end) {
            stats = batcher.stats();
            check(stats.waiting <= limit, "no more than max_queue_size items wait");
            check_sum(stats);
            if (++looks % 64 == 0) batcher.cancel();
            pause(200);
        }
        for (auto& thread : threads) thread.join();

        // The room of all of them is free again.
        batcher.cancel();
        const auto ones = batcher.process_many(std::vector<int>(limit, 1)).get();
        check(ones.size() == limit, "an empty queue takes max_queue_size items");
        batcher.drain().get();
        stats = batcher.stats();
    }
    check(count.completed > 0 && count.rejected > 0, "some calls complete and some are rejected");
    check(count.called == count.completed + count.rejected + count.aborted + destroyed,
          "completed and rejected, aborted and destroyed add up to the calls");
    check(stats.waiting == 0 && stats.running == 0, "nothing is left");
    check_sum(stats);
    check(stats.submitted + stats.rejected == count.called + limit,
          "stats(): accepted and rejected add up");
    fmt::print("{} calls: {} completed, {} rejected, {} aborted, {} destroyed\n",
               count.called.load(), count.completed.load(), count.rejected.load(),
               count.aborted.load(), destroyed.load());
    return result();
}

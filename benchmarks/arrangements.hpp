// The arrangements of threads in which closed loops run. Each gives the cost per item in nanoseconds.
//
// Batchers are made as Batcher(context, rules) where the callers run on an io_context, and as
// Batcher(rules) where they are threads.
#pragma once

#include <algorithm>
#include <asio.hpp>
#include <barrier>
#include <competitors/rules.hpp>
#include <cstddef>
#include <deque>
#include <future>
#include <load.hpp>
#include <measure.hpp>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace bench {

struct ClosedLoopLoad {
    std::size_t callers = 1'000;
    std::size_t items = 100'000;  // that are counted, after as many as there are callers
    Rules rules;
};

// Callers on one thread, this one. What a Batcher does on threads of its own, it does on another processor.
template <class Batcher, class Callers>
double callers_on_one_thread(const ClosedLoopLoad& load) {
    asio::io_context context(1);
    std::optional<Batcher> batcher;
    {
        const Pinned elsewhere(1);  // the threads that the Batcher starts
        batcher.emplace(context, load.rules);
    }
    ClosedLoop loop(1);
    loop.when_finished([&] { context.stop(); });
    loop.expect(load.callers);
    Lap lap(loop, load.callers, load.items);
    for (std::size_t i = 0; i < load.callers; ++i) {
        Callers::start(context, *batcher, lap, static_cast<int>(i));
    }
    const auto work = asio::make_work_guard(context);
    context.run();
    return nanoseconds_between(lap.clock().began(), lap.clock().ended()) /
           static_cast<double>(load.items);
}

// Callers on several threads, each with an io_context of its own. Batcher(contexts, rules).
template <class Batcher>
double callers_on_several_threads(const ClosedLoopLoad& load, std::size_t threads) {
    std::deque<asio::io_context> contexts;
    while (contexts.size() < threads) contexts.emplace_back(1);
    std::optional<Batcher> batcher;
    {
        const Pinned elsewhere(1);
        batcher.emplace(contexts, load.rules);
    }
    ClosedLoop loop(threads);
    loop.when_finished([&] {
        for (auto& context : contexts) context.stop();
    });
    const std::size_t callers = std::max<std::size_t>(1, load.callers / threads);
    const std::size_t items = load.items / threads;
    loop.expect(callers * threads);
    std::deque<Lap> laps;
    std::barrier all_are_ready(static_cast<std::ptrdiff_t>(threads));
    const auto work_on = [&](std::size_t i) {
        pin_this_thread(i);
        auto producer = batcher->producer(i);
        for (std::size_t n = 0; n < callers; ++n) {
            PlainCoroutines::start(contexts[i], producer, laps[i], static_cast<int>(n));
        }
        const auto work = asio::make_work_guard(contexts[i]);
        all_are_ready.arrive_and_wait();
        contexts[i].run();
        all_are_ready.arrive_and_wait();  // nobody uses `producer` any more
    };
    while (laps.size() < threads) laps.emplace_back(loop, callers, items);
    std::vector<std::thread> others;
    for (std::size_t i = 1; i < threads; ++i) others.emplace_back(work_on, i);
    work_on(0);
    for (auto& thread : others) thread.join();

    Clock::time_point began = laps[0].clock().began();
    Clock::time_point ended = laps[0].clock().ended();
    for (const Lap& lap : laps) {
        began = std::min(began, lap.clock().began());
        ended = std::max(ended, lap.clock().ended());
    }
    return nanoseconds_between(began, ended) / static_cast<double>(items * threads);
}

// Callers spread over several io_contexts, which this thread polls in turn; one more, the first, which it polls too,
// is the Batcher's. Batcher(contexts, rules).
template <class Batcher, class Callers>
double callers_on_many_contexts(const ClosedLoopLoad& load, std::size_t count) {
    std::deque<asio::io_context> contexts;
    std::deque<asio::executor_work_guard<asio::io_context::executor_type>> work;
    while (contexts.size() < count + 1) {
        contexts.emplace_back(1);
        work.push_back(asio::make_work_guard(contexts.back()));
    }
    Batcher batcher(contexts, load.rules);
    ClosedLoop loop(1);
    bool finished = false;
    loop.when_finished([&] { finished = true; });
    loop.expect(load.callers);
    Lap lap(loop, load.callers, load.items);
    std::deque<decltype(batcher.producer(0))> producers;
    for (std::size_t i = 1; i <= count; ++i) producers.push_back(batcher.producer(i));
    for (std::size_t n = 0; n < load.callers; ++n) {
        const std::size_t i = n % count;
        Callers::start(contexts[i + 1], producers[i], lap, static_cast<int>(n));
    }
    while (!finished) {
        for (auto& context : contexts) context.poll();
    }
    return nanoseconds_between(lap.clock().began(), lap.clock().ended()) /
           static_cast<double>(load.items);
}

// Callers and batch function on an asio::thread_pool, on whatever processors the system chooses. Batcher(pool, rules).
template <class Batcher>
double callers_on_a_pool(const ClosedLoopLoad& load, std::size_t threads) {
    unpin_this_thread();
    asio::thread_pool pool(threads);
    std::optional<Batcher> batcher(std::in_place, pool, load.rules);
    ClosedLoop loop(1);
    std::promise<void> finished;
    loop.when_finished([&] { finished.set_value(); });
    loop.expect(load.callers);
    SharedLap lap(loop, load.callers, load.items);
    for (std::size_t i = 0; i < load.callers; ++i) {
        PlainCoroutines::start(pool, *batcher, lap, static_cast<int>(i));
    }
    finished.get_future().wait();
    batcher.reset();
    pool.join();
    return nanoseconds_between(lap.clock().began(), lap.clock().ended()) /
           static_cast<double>(load.items);
}

// Each caller a thread that blocks. All of them on one processor, the function on another.
template <class Batcher>
double callers_that_block(const ClosedLoopLoad& load) {
    std::optional<Batcher> batcher;
    {
        const Pinned elsewhere(1);
        batcher.emplace(load.rules);
    }
    ClosedLoop loop(1);
    SharedLap lap(loop, load.callers, load.items);
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < load.callers; ++i) {
        threads.emplace_back([&, i] { block_again_and_again(*batcher, lap, static_cast<int>(i)); });
    }
    for (auto& thread : threads) thread.join();
    return nanoseconds_between(lap.clock().began(), lap.clock().ended()) /
           static_cast<double>(load.items);
}

}  // namespace bench

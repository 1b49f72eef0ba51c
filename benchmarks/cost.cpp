// Table 1: what a batcher costs an item when the batch function costs next to nothing.
#include <algorithm>
#include <arrangements.hpp>
#include <competitors/asio_channel.hpp>
#include <competitors/batcher.hpp>
#include <competitors/floor_awaitable.hpp>
#include <competitors/floor_one_thread.hpp>
#include <competitors/floor_producers.hpp>
#include <competitors/floor_two_threads.hpp>
#include <competitors/promise_future.hpp>
#include <cost_contender.hpp>
#include <functional>
#include <measure.hpp>
#include <string>
#include <vector>

#if defined(BENCHMARKS_WITH_TBB)
#include <competitors/tbb_flow_graph.hpp>
#endif

using namespace bench;

namespace {

const char* const one_thread = "one thread, plain coroutines";
const char* const awaitables = "one thread, asio::awaitable";
const char* const two_threads = "callers on one thread, function on another";
const char* const two_producers = "callers on two threads";
const char* const many_contexts = "io_contexts that one thread polls, plain coroutines";
const char* const many_contexts_awaitables = "io_contexts that one thread polls, asio::awaitable";
const char* const pool = "callers and function on a pool of two threads";
const char* const blocking = "callers are threads that block";

const char* const no_library = "no library";
const char* const channel = "by hand: Asio channel and timer";
const char* const promise = "by hand: promise and future";
const char* const gathered_late = "no library, items gathered on the function's thread";
const char* const post_an_item = "no library, one post per item";
const char* const with_worker = "this library, with a worker";
const char* const run_on_first = "no library, batches run on the first thread";
const char* const on_first = "this library, on the first thread";
const char* const ours = "this library";
const char* const in_place = "no library, full batches run in place";
const char* const bounded = "this library, a bounded queue";
const char* const one_context = "this library, callers on 1 io_context";
const char* const contexts_32 = "this library, callers on 32 io_contexts";
[[maybe_unused]] const char* const flow_graph = "oneTBB flow graph";

std::vector<Contender> contenders_for(std::size_t callers, std::size_t batch,
                                      const Settings& settings) {
    std::vector<Contender> all;
    const auto add = [&](const char* arrangement, const char* name, auto cost) {
        const ClosedLoopLoad load{
            .callers = callers, .items = 0, .rules = {.max_batch_size = batch}};
        all.push_back(cost_contender(arrangement, name, load, settings, cost));
    };

    add(one_thread, no_library,
        callers_on_one_thread<FloorOneThread<RunFull::posted>, PlainCoroutines>);
    add(one_thread, in_place,
        callers_on_one_thread<FloorOneThread<RunFull::in_place>, PlainCoroutines>);
    add(one_thread, ours, callers_on_one_thread<BatcherOnContext, PlainCoroutines>);
    add(one_thread, bounded, callers_on_one_thread<BatcherWithBoundedQueue, PlainCoroutines>);
    const auto add_flow_graph = [&]([[maybe_unused]] const char* arrangement,
                                    [[maybe_unused]] std::size_t threads) {
#if defined(BENCHMARKS_WITH_TBB)
        if (callers < batch) return;
        add(arrangement, flow_graph, [threads](const ClosedLoopLoad& load) {
            return callers_on_tbb(load.callers, load.items, load.rules, threads);
        });
#endif
    };
    add_flow_graph(one_thread, 1);

    add(awaitables, no_library, callers_on_one_thread<FloorAwaitable, Awaitables>);
    add(awaitables, ours, callers_on_one_thread<BatcherOnContext, Awaitables>);
    add(awaitables, channel, callers_on_one_thread<AsioChannel, Awaitables>);

    add(two_threads, no_library,
        callers_on_one_thread<FloorTwoThreads<HandBackBy::batch>, PlainCoroutines>);
    add(two_threads, gathered_late,
        callers_on_one_thread<FloorTwoThreads<HandBackBy::batch, GatherOn::functions_thread>,
                              PlainCoroutines>);
    add(two_threads, post_an_item,
        callers_on_one_thread<FloorTwoThreads<HandBackBy::item>, PlainCoroutines>);
    add(two_threads, ours, callers_on_one_thread<BatcherWithWorker, PlainCoroutines>);
    add(two_threads, "this library, a thread that spins 20 us",
        callers_on_one_thread<BatcherOnSpinningThread, PlainCoroutines>);
    add(two_threads, "this library, callers in asio::awaitable",
        callers_on_one_thread<BatcherWithWorkerForAwaitables, Awaitables>);

    add_flow_graph(pool, 2);
    add(pool, ours,
        [](const ClosedLoopLoad& load) { return callers_on_a_pool<BatcherOnPool>(load, 2); });

    const auto on_two = [](auto type) {
        return [](const ClosedLoopLoad& load) {
            return callers_on_several_threads<typename decltype(type)::type>(load, 2);
        };
    };
    add(two_producers, no_library, on_two(std::type_identity<FloorProducers<>>()));
    add(two_producers, run_on_first,
        on_two(std::type_identity<FloorProducers<RunOn::first_thread>>()));
    add(two_producers, with_worker, on_two(std::type_identity<BatcherWithWorkerForProducers>()));
    add(two_producers, on_first, on_two(std::type_identity<BatcherOnContextForProducers>()));

    const auto on_contexts = [](std::size_t count) {
        return [count](const ClosedLoopLoad& load) {
            return callers_on_many_contexts<BatcherOnContextForProducers, PlainCoroutines>(load,
                                                                                           count);
        };
    };
    const auto on_contexts_awaitable = [](std::size_t count) {
        return [count](const ClosedLoopLoad& load) {
            return callers_on_many_contexts<BatcherOnContextForAwaitables, Awaitables>(load, count);
        };
    };
    add(many_contexts, one_context, on_contexts(1));
    add(many_contexts, contexts_32, on_contexts(32));
    add(many_contexts_awaitables, one_context, on_contexts_awaitable(1));
    add(many_contexts_awaitables, contexts_32, on_contexts_awaitable(32));

    // 10,000 blocking threads are nobody's arrangement.
    if (callers <= 64) {
        add(blocking, promise, callers_that_block<PromiseFuture>);
        add(blocking, ours, callers_that_block<BlockingBatcher>);
    }
    return all;
}

void judge(Budgets& budgets, const Results& results, std::size_t callers, std::size_t batch) {
    const auto ratio = [&](const char* arrangement, const char* name, const char* to) {
        return results.median(arrangement, name) / results.median(arrangement, to);
    };
    const std::string at =
        fmt::format("{} callers, batches of {}: ", with_commas(callers), with_commas(batch));
    if (callers == 1'000 && batch == 64) {
        budgets.at_most(at + "one thread, times the floor", ratio(one_thread, ours, no_library),
                        1.6);
        budgets.at_most(at + "one thread, times the floor that runs batches in place",
                        ratio(one_thread, ours, in_place), 2.5);
        budgets.at_most(at + "one thread, a bounded queue, times the cost without",
                        ratio(one_thread, bounded, ours), 1.15);
        budgets.at_most(at + "one thread, ns an item", results.median(one_thread, ours), 30);
        budgets.at_most(at + "asio::awaitable, times its floor",
                        ratio(awaitables, ours, no_library), 1.0);
        budgets.at_most(at + "two threads, times the floor", ratio(two_threads, ours, no_library),
                        1.3);
        budgets.at_most(at + "two threads, times the floor that gathers on the function's thread",
                        ratio(two_threads, ours, gathered_late), 1.3);
        budgets.at_least(at + "two threads, times faster than one post per item",
                         ratio(two_threads, post_an_item, ours), 4);
        budgets.at_most(at + "two producing threads, with a worker, times the floor",
                        ratio(two_producers, with_worker, no_library), 1.5);
        budgets.at_most(at + "two producing threads, on the first, times the floor",
                        ratio(two_producers, on_first, no_library), 1.5);
        budgets.at_most(at + "two producing threads, on the first, times the floor that runs there",
                        ratio(two_producers, on_first, run_on_first), 1.5);
        budgets.at_most(at + "callers on 32 io_contexts, times those on one (plain coroutines)",
                        ratio(many_contexts, contexts_32, one_context), 1.5);
        budgets.at_most(at + "callers on 32 io_contexts, times those on one (asio::awaitable)",
                        ratio(many_contexts_awaitables, contexts_32, one_context), 1.5);
#if defined(BENCHMARKS_WITH_TBB)
        budgets.at_most(at + "a pool of two threads, times oneTBB's flow graph",
                        ratio(pool, ours, flow_graph), 1.2);
#endif
    }
    if (callers == 64 && batch == 64) {
        budgets.at_most(at + "two threads that take turns sleeping, times the floor",
                        ratio(two_threads, ours, no_library), 1.2);
    }
    budgets.at_least(at + "one thread, times faster than the Asio channel (asio::awaitable)",
                     results.median(awaitables, channel) / results.median(awaitables, ours), 4);
    budgets.at_least(at + "one thread, times faster than the Asio channel (plain coroutines)",
                     results.median(awaitables, channel) / results.median(one_thread, ours), 4);
    if (callers <= 64) {
        budgets.at_least(at + "blocking, times faster than promise and future",
                         ratio(blocking, promise, ours), 1.0);
        budgets.at_least(at + "two threads, times faster than promise and future",
                         results.median(blocking, promise) / results.median(two_threads, ours), 10);
    }
}

}  // namespace

int main(int argc, char** argv) {
    const Settings settings = settings_from(argc, argv);
    Sheet sheet(settings, "cost", {"callers", "max_batch_size"}, {{"cost", "ns"}});
    Budgets budgets(settings, "cost");
    for (const std::size_t callers : {64, 1'000, 10'000}) {
        for (const std::size_t batch : {8, 64, 512}) {
            if (settings.quick && (callers == 10'000 || batch != 64)) continue;
            const auto title = fmt::format("Cost of an item: {} callers, batches of up to {}",
                                           with_commas(callers), batch);
            const Results results =
                sheet.measure(title, {std::to_string(callers), std::to_string(batch)},
                              contenders_for(callers, batch, settings));
            judge(budgets, results, callers, batch);
        }
    }
    budgets.print();
}

// Table 5: what does not depend on the machine's mood: allocations and instructions of an item.
//
//     counts                      the allocations of all arrangements
//     counts --list               their names
//     counts --run NAME ITEMS     runs one, to be counted by callgrind (see benchmarks/run)
#include <algorithm>
#include <arrangements.hpp>
#include <competitors/asio_channel.hpp>
#include <competitors/batcher.hpp>
#include <competitors/batcher_with_terms.hpp>
#include <competitors/floor_awaitable.hpp>
#include <competitors/floor_one_thread.hpp>
#include <competitors/floor_producers.hpp>
#include <competitors/floor_two_threads.hpp>
#include <competitors/promise_future.hpp>
#include <counted_heap.hpp>
#include <cstddef>
#include <functional>
#include <measure.hpp>
#include <string>
#include <string_view>
#include <vector>

#if defined(BENCHMARKS_WITH_TBB)
#include <competitors/tbb_flow_graph.hpp>
#endif

using namespace bench;

namespace {

struct Arrangement {
    std::string name;
    std::function<double(const ClosedLoopLoad&)> run;
    std::size_t callers = 1'000;
};

std::vector<Arrangement> arrangements() {
    const auto two = [](auto type) {
        return [](const ClosedLoopLoad& load) {
            return callers_on_several_threads<typename decltype(type)::type>(load, 2);
        };
    };
    const auto contexts = [](std::size_t count) {
        return [count](const ClosedLoopLoad& load) {
            return callers_on_many_contexts<BatcherOnContextForProducers, PlainCoroutines>(load,
                                                                                           count);
        };
    };
    const auto contexts_awaitable = [](std::size_t count) {
        return [count](const ClosedLoopLoad& load) {
            return callers_on_many_contexts<BatcherOnContextForAwaitables, Awaitables>(load, count);
        };
    };
    return {
        {"floor_in_place",
         callers_on_one_thread<FloorOneThread<RunFull::in_place>, PlainCoroutines>},
        {"floor_one_thread",
         callers_on_one_thread<FloorOneThread<RunFull::posted>, PlainCoroutines>},
        {"batcher_one_thread", callers_on_one_thread<BatcherOnContext, PlainCoroutines>},
        {"batcher_at_once", callers_on_one_thread<BatcherAtOnce, PlainCoroutines>},
        {"batcher_with_target", callers_on_one_thread<BatcherWithTarget, PlainCoroutines>},
        {"batcher_bounded_queue", callers_on_one_thread<BatcherWithBoundedQueue, PlainCoroutines>},
        {"batcher_timeout", callers_on_one_thread<BatcherAsked<SameTimeout>, PlainCoroutines>},
        {"batcher_any_timeout", callers_on_one_thread<BatcherAsked<AnyTimeout>, PlainCoroutines>},
        {"batcher_any_priority", callers_on_one_thread<BatcherAsked<AnyPriority>, PlainCoroutines>},
        {"batcher_weight", callers_on_one_thread<BatcherWithRule<WeightOfOne>, PlainCoroutines>},
        {"batcher_key_of_100",
         callers_on_one_thread<BatcherWithRule<KeyOfHundred>, PlainCoroutines>, 6'400},
        {"batcher_deduplicated",
         callers_on_one_thread<BatcherWithRule<Deduplicated>, PlainCoroutines>},
        {"batcher_1_context", contexts(1)},
        {"batcher_32_contexts", contexts(32)},
#if defined(BENCHMARKS_WITH_TBB)
        {"tbb_flow_graph",
         [](const ClosedLoopLoad& load) {
             return callers_on_tbb(load.callers, load.items, load.rules, 1);
         }},
#endif
        {"floor_awaitable", callers_on_one_thread<FloorAwaitable, Awaitables>},
        {"batcher_awaitable", callers_on_one_thread<BatcherOnContext, Awaitables>},
        {"batcher_awaitable_1_context", contexts_awaitable(1)},
        {"batcher_awaitable_32_contexts", contexts_awaitable(32)},
        {"asio_channel", callers_on_one_thread<AsioChannel, Awaitables>},
        {"floor_two_threads",
         callers_on_one_thread<FloorTwoThreads<HandBackBy::batch>, PlainCoroutines>},
        {"one_post_per_item",
         callers_on_one_thread<FloorTwoThreads<HandBackBy::item>, PlainCoroutines>},
        {"batcher_with_worker", callers_on_one_thread<BatcherWithWorker, PlainCoroutines>},
        {"floor_two_producers", two(std::type_identity<FloorProducers<>>())},
        {"batcher_two_producers", two(std::type_identity<BatcherWithWorkerForProducers>())},
        {"batcher_blocking", callers_that_block<BlockingBatcher>, 64},
        {"promise_future", callers_that_block<PromiseFuture>, 64},
    };
}

// From the slope between two lengths of a run, so that what a run allocates once cancels out.
double allocations_per_item(const Arrangement& arrangement, std::size_t batch) {
    constexpr std::size_t items = 20'000;
    const auto count = [&](std::size_t n) {
        const std::size_t before = Heap::allocations;
        arrangement.run(
            {.callers = arrangement.callers, .items = n, .rules = {.max_batch_size = batch}});
        return static_cast<double>(Heap::allocations - before);
    };
    return std::max(0.0, (count(3 * items) - count(items)) / static_cast<double>(2 * items));
}

int list() {
    for (const auto& arrangement : arrangements()) fmt::print("{}\n", arrangement.name);
    return 0;
}

int run(std::string_view name, std::size_t items) {
    for (const auto& arrangement : arrangements()) {
        if (arrangement.name != name) continue;
        arrangement.run({.callers = arrangement.callers, .items = items, .rules = {}});
        return 0;
    }
    fmt::print(stderr, "there is no arrangement {}\n", name);
    return 2;
}

// In small and in large batches: what a batch allocates, however large it is, is shared by its items.
int count_allocations() {
    fmt::print("arrangement,batches_of_16,batches_of_64\n");
    for (const auto& arrangement : arrangements()) {
        fmt::print("{},{:.3f},{:.3f}\n", arrangement.name, allocations_per_item(arrangement, 16),
                   allocations_per_item(arrangement, 64));
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    processors();
    const std::vector<std::string_view> arguments(argv + 1, argv + argc);
    if (arguments.empty()) return count_allocations();
    if (arguments[0] == "--list") return list();
    if (arguments[0] == "--run" && arguments.size() == 3) {
        return run(arguments[1], std::stoul(std::string(arguments[2])));
    }
    fmt::print(stderr, "usage: {} [--list | --run NAME ITEMS]\n", argv[0]);
    return 2;
}

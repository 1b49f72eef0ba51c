// Table 3: growth. What an item costs as there are more callers, more waiting items and more producing
// threads; and the memory that a waiting item takes.
#include <algorithm>
#include <arrangements.hpp>
#include <competitors/asio_channel.hpp>
#include <competitors/batcher.hpp>
#include <competitors/floor_awaitable.hpp>
#include <competitors/floor_one_thread.hpp>
#include <competitors/floor_producers.hpp>
#include <competitors/floor_two_threads.hpp>
#include <cost_contender.hpp>
#include <counted_heap.hpp>
#include <cstddef>
#include <map>
#include <measure.hpp>
#include <string>
#include <type_traits>
#include <vector>

using namespace bench;

namespace {

using FloorOnOne = FloorOneThread<RunFull::posted>;
using FloorOnTwo = FloorTwoThreads<HandBackBy::batch>;

const char* const ours = "this library";
const char* const ours_awaitable = "this library, asio::awaitable";
const char* const ours_worker = "this library, with a worker";

// ---- callers --------------------------------------------------------------------------------------------

// Fewer callers than a batch holds would wait for the timeout; then batches are as large as callers are many.
void measure_callers(const Settings& settings, Budgets& budgets) {
    Sheet sheet(settings, "growth_callers", {"callers"}, {{"cost", "ns"}});
    std::map<std::string, std::map<std::size_t, double>> cost;
    for (const std::size_t callers : {1, 10, 100, 1'000, 10'000, 100'000}) {
        if (settings.quick && callers > 1'000) continue;
        const ClosedLoopLoad load{.callers = callers,
                                  .items = 0,
                                  .rules = {.max_batch_size = std::min<std::size_t>(64, callers)}};
        const auto contender = [&](const char* name, auto run) {
            return cost_contender("closed loop", name, load, settings, run);
        };
        const Results results = sheet.measure(
            fmt::format("Cost of an item: {} callers, batches of up to {}", with_commas(callers),
                        load.rules.max_batch_size),
            {std::to_string(callers)},
            {contender("no library, one thread",
                       callers_on_one_thread<FloorOnOne, PlainCoroutines>),
             contender(ours, callers_on_one_thread<BatcherOnContext, PlainCoroutines>),
             contender("no library, asio::awaitable",
                       callers_on_one_thread<FloorAwaitable, Awaitables>),
             contender(ours_awaitable, callers_on_one_thread<BatcherOnContext, Awaitables>),
             contender("no library, two threads",
                       callers_on_one_thread<FloorOnTwo, PlainCoroutines>),
             contender(ours_worker, callers_on_one_thread<BatcherWithWorker, PlainCoroutines>),
             contender("by hand: Asio channel and timer",
                       callers_on_one_thread<AsioChannel, Awaitables>)});
        for (const Measured& row : results.rows()) cost[row.name][callers] = row.figures[0].median;
    }
    if (settings.quick) return;
    for (const char* name : {"no library, one thread", ours, ours_awaitable, ours_worker}) {
        for (const std::size_t callers : {10'000, 100'000}) {
            budgets.at_most(fmt::format("{}: cost with {} callers, times that with 1,000", name,
                                        with_commas(callers)),
                            cost[name][callers] / cost[name][1'000], 1.5);
        }
    }
}

// ---- waiting items ----------------------------------------------------------------------------------------

Task call_one_time(BatcherOnContext& batcher, std::size_t& left) {
    const int y = co_await batcher.process(1);
    check_result(1, y);
    --left;
}

asio::awaitable<void> call_one_time_in_awaitable(BatcherOnContext& batcher, std::size_t& left) {
    const int y = co_await batcher.process(1);
    check_result(1, y);
    --left;
}

struct OneTimePlain {
    static void start(asio::io_context&, BatcherOnContext& batcher, std::size_t& left) {
        call_one_time(batcher, left);
    }
};
struct OneTimeAwaitable {
    static void start(asio::io_context& context, BatcherOnContext& batcher, std::size_t& left) {
        asio::co_spawn(context, call_one_time_in_awaitable(batcher, left), asio::detached);
    }
};

// All of `items` wait before the first batch leaves; ns an item from the first call to the last result.
// (What is started later on an io_context runs later: first all the callers, then the batches.)
template <class Caller>
double all_waiting_at_once(std::size_t items) {
    asio::io_context context(1);
    BatcherOnContext batcher(context, {});
    context.poll();
    context.restart();
    std::size_t left = items;
    const auto start = Clock::now();
    for (std::size_t i = 0; i < items; ++i) Caller::start(context, batcher, left);
    asio::post(context, [&] { batcher.flush(); });
    while (left > 0) context.run_one();
    return nanoseconds_between(start, Clock::now()) / static_cast<double>(items);
}

void measure_waiting(const Settings& settings, Budgets& budgets) {
    Sheet sheet(settings, "growth_waiting", {"waiting"}, {{"cost", "ns"}});
    std::map<std::string, std::map<std::size_t, double>> cost;
    for (const std::size_t items : {1'000, 10'000, 100'000, 1'000'000}) {
        if (settings.quick && items > 10'000) continue;
        // Small ones often enough to take as long as large ones.
        const auto contender = [&](const char* name, auto run) {
            return Contender{"one thread", name, [run, items] {
                                 const std::size_t times =
                                     std::max<std::size_t>(1, 100'000 / items);
                                 double sum = 0;
                                 for (std::size_t i = 0; i < times; ++i) sum += run(items);
                                 return std::vector<double>{sum / static_cast<double>(times)};
                             }};
        };
        const Results results =
            sheet.measure(fmt::format("Cost of an item, its coroutine with it: {} waiting at once",
                                      with_commas(items)),
                          {std::to_string(items)},
                          {contender(ours, all_waiting_at_once<OneTimePlain>),
                           contender(ours_awaitable, all_waiting_at_once<OneTimeAwaitable>)});
        for (const Measured& row : results.rows()) cost[row.name][items] = row.figures[0].median;
    }
    if (settings.quick) return;
    budgets.at_most("cost with 1,000,000 items waiting, times that with 1,000",
                    cost[ours][1'000'000] / cost[ours][1'000], 1.5);
}

// ---- memory -----------------------------------------------------------------------------------------------

// What suspends and waits for nothing: the coroutine of a caller, and the batcher's share left out.
struct Nothing {
    int x;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> handle) { suspended().push_back(handle); }
    int await_resume() const noexcept { return 2 * x; }
    static std::vector<std::coroutine_handle<>>& suspended() {
        static std::vector<std::coroutine_handle<>> handles;
        return handles;
    }
};

Task wait_for_nothing(std::size_t& left) {
    const int y = co_await Nothing{1};
    check_result(1, y);
    --left;
}

constexpr std::size_t many = 100'000;

double bytes_of_bare_coroutine() {
    std::size_t left = many;
    Nothing::suspended().reserve(many);
    const std::size_t before = Heap::bytes;
    for (std::size_t i = 0; i < many; ++i) wait_for_nothing(left);
    const std::size_t after = Heap::bytes;
    for (const auto handle : Nothing::suspended()) handle.resume();
    Nothing::suspended().clear();
    return static_cast<double>(after - before) / many;
}

// No batch leaves before flush().
template <class Caller>
double bytes_of_waiting_caller() {
    asio::io_context context(1);
    BatcherOnContext batcher(context,
                             {.max_batch_size = 2 * many, .batch_timeout = batching::no_timeout});
    const auto work = asio::make_work_guard(context);
    context.poll();
    std::size_t left = many;
    const std::size_t before = Heap::bytes;
    for (std::size_t i = 0; i < many; ++i) Caller::start(context, batcher, left);
    context.poll();  // co_spawn starts an awaitable by a post
    const std::size_t after = Heap::bytes;
    batcher.flush();
    while (left > 0) context.run_one();
    return static_cast<double>(after - before) / many;
}

void measure_memory(const Settings& settings, Budgets& budgets) {
    using Operation = batching::Batcher<int, int>::process_type;
    using Awaiter = decltype(std::declval<Operation>().operator co_await());
    constexpr std::size_t in_frame = sizeof(Operation) + sizeof(Awaiter);
    constexpr std::size_t in_and_out = 2 * sizeof(int);
    const auto constant = [](double bytes) {
        return [bytes] { return std::vector<double>{bytes}; };
    };
    const double bare = bytes_of_bare_coroutine();
    const double plain = bytes_of_waiting_caller<OneTimePlain>();
    const double awaitable = bytes_of_waiting_caller<OneTimeAwaitable>();
    Sheet sheet(settings, "growth_memory", {}, {{"memory", "B"}});
    sheet.measure("Memory of a waiting item, In and Out being int", {},
                  {{"heap", "a coroutine that waits for nothing", constant(bare)},
                   {"heap", "a coroutine that waits for process()", constant(plain)},
                   {"heap", "an asio::awaitable that waits for process()", constant(awaitable)},
                   {"sizeof", "what process() puts into a frame", constant(in_frame)}});
    budgets.at_most("bytes of a waiting item beyond In and Out, by sizeof",
                    static_cast<double>(in_frame - in_and_out), 128);
    budgets.at_most("bytes of a waiting item beyond In, Out and a bare coroutine, measured",
                    plain - bare, 128);
}

// ---- producing threads ------------------------------------------------------------------------------------

void measure_producers(const Settings& settings) {
    Sheet sheet(settings, "growth_producers", {"threads"}, {{"cost", "ns"}});
    for (const std::size_t threads : {1, 2, 4, 8}) {
        const auto contender = [&](const char* name, auto type) {
            return cost_contender(
                "1,000 callers in all", name,
                ClosedLoopLoad{.callers = 1'000, .items = 0, .rules = {}}, settings,
                [threads](const ClosedLoopLoad& load) {
                    return callers_on_several_threads<typename decltype(type)::type>(load, threads);
                });
        };
        sheet.measure(fmt::format("Cost of an item: {} producing threads on {} processors", threads,
                                  std::thread::hardware_concurrency()),
                      {std::to_string(threads)},
                      {contender("no library", std::type_identity<FloorProducers<>>()),
                       contender(ours_worker, std::type_identity<BatcherWithWorkerForProducers>()),
                       contender("this library, on the first thread",
                                 std::type_identity<BatcherOnContextForProducers>())});
    }
}

}  // namespace

int main(int argc, char** argv) {
    const Settings settings = settings_from(argc, argv);
    Budgets budgets(settings, "growth");
    measure_memory(settings, budgets);
    measure_callers(settings, budgets);
    measure_waiting(settings, budgets);
    measure_producers(settings);
    budgets.print();
}

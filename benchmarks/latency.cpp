// Table 2: latency. A lone caller: how much later than batch_timeout it has its result. Open loops: from
// the time an item was to come to its result. Large items: how long a call holds the thread that makes it.
#include <algorithm>
#include <array>
#include <asio.hpp>
#include <barrier>
#include <batcher.hpp>
#include <competitors/asio_channel.hpp>
#include <competitors/batcher.hpp>
#include <competitors/floor_awaitable.hpp>
#include <competitors/floor_one_thread.hpp>
#include <competitors/floor_two_threads.hpp>
#include <competitors/promise_future.hpp>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <measure.hpp>
#include <memory>
#include <open_loop.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace bench;

namespace {

using FloorOnOne = FloorOneThread<RunFull::posted>;
using FloorOnTwo = FloorTwoThreads<HandBackBy::batch>;

const Rules rules;  // batches of 64, 1 ms

// Runs the io_context until `latencies` are complete. `start` is called with the batcher.
template <class Batcher, class Start>
std::vector<double> on_one_thread(std::size_t items, Nanoseconds expected, Start start) {
    asio::io_context context(1);
    std::optional<Batcher> batcher;
    {
        const Pinned elsewhere(1);
        batcher.emplace(context, rules);
    }
    Latencies latencies(items, [&] { context.stop(); });
    const auto work = asio::make_work_guard(context);
    [[maybe_unused]] const auto keep = start(context, *batcher, latencies);
    context.run();
    return latencies.quantiles(expected);
}

// ---- a lone caller ------------------------------------------------------------------------------------------

template <class Batcher, class Caller>
std::vector<double> alone(std::size_t items) {
    return on_one_thread<Batcher>(
        items, rules.batch_timeout,
        [](asio::io_context& context, Batcher& batcher, Latencies& latencies) {
            Caller::alone(context, batcher, latencies);
            return 0;
        });
}

template <class Batcher>
std::vector<double> alone_and_blocking(std::size_t items) {
    std::optional<Batcher> batcher;
    {
        const Pinned elsewhere(1);
        batcher.emplace(rules);
    }
    Latencies latencies(items, [] {});
    for (int x = 0; !latencies.complete(); ++x) {
        const auto start = Clock::now();
        check_result(x, batcher->process(x));
        latencies.record(start, Clock::now());
    }
    return latencies.quantiles(rules.batch_timeout);
}

// A steady_timer and nothing else, waited for as long as a batch is.
class BareTimer {
public:
    BareTimer(asio::io_context& context, Latencies& latencies)
        : timer_(context), latencies_(latencies) {
        again();
    }

private:
    void again() {
        const auto start = Clock::now();
        timer_.expires_at(start + rules.batch_timeout);
        timer_.async_wait([this, start](auto) {
            latencies_.record(start, Clock::now());
            if (!latencies_.complete()) again();
        });
    }
    asio::steady_timer timer_;
    Latencies& latencies_;
};

std::vector<double> bare_timer(std::size_t items) {
    asio::io_context context(1);
    Latencies latencies(items, [] {});
    BareTimer timer(context, latencies);
    context.run();
    return latencies.quantiles(rules.batch_timeout);
}

void measure_lone_caller(const Settings& settings, Budgets& budgets) {
    const std::size_t items = settings.quick ? 20 : 300;
    const char* const lone = "a lone caller";
    const auto contender = [&](const char* name, auto run) {
        return Contender{lone, name, [run, items] { return run(items); }};
    };
    Sheet sheet(settings, "latency_lone", {}, latency_metrics());
    const Results results = sheet.measure(
        "A lone caller: later than batch_timeout by", {},
        {contender("a bare steady_timer", bare_timer),
         contender("no library, one thread", alone<FloorOnOne, OncePlain>),
         contender("no library, two threads", alone<FloorOnTwo, OncePlain>),
         contender("this library, one thread", alone<BatcherOnContext, OncePlain>),
         contender("this library, asio::awaitable", alone<BatcherOnContext, OnceAwaitable>),
         contender("this library, with a worker", alone<BatcherWithWorker, OncePlain>),
         contender("this library, a blocking thread", alone_and_blocking<BlockingBatcher>),
         contender("by hand: Asio channel and timer", alone<AsioChannel, OnceAwaitable>),
         contender("by hand: promise and future", alone_and_blocking<PromiseFuture>)});
    const double timer_p99 = results.median(lone, "a bare steady_timer", 1);
    for (const char* name : {"this library, one thread", "this library, with a worker"}) {
        budgets.at_most(fmt::format("{}: p50 later than batch_timeout, us", name),
                        results.median(lone, name, 0), 100);
        budgets.at_most(fmt::format("{}: p99 later than a bare timer's, us", name),
                        results.median(lone, name, 1) - timer_p99, 100);
    }
}

// ---- how long a call holds its caller ---------------------------------------------------------------------

template <std::size_t bytes>
struct Item {
    std::array<unsigned char, bytes> content{};
};

template <std::size_t bytes>
std::vector<int> first_bytes(const std::vector<Item<bytes>>& items) {
    std::vector<int> result;
    result.reserve(items.size());
    for (const auto& item : items) result.push_back(item.content[0]);
    return result;
}

// Adds nothing to an awaiter but a look at the clock before and after it suspends its coroutine. The coroutine may be
// gone when that returns, so the time is kept outside.
template <class Awaiter>
struct TimedSuspension {
    Awaiter awaiter;
    double& held;

    bool await_ready() { return awaiter.await_ready(); }
    template <class Promise>
    auto await_suspend(std::coroutine_handle<Promise> caller) {
        const Stopwatch watch(held);
        return awaiter.await_suspend(caller);
    }
    decltype(auto) await_resume() { return awaiter.await_resume(); }
};
template <class Awaiter>
TimedSuspension(Awaiter, double&) -> TimedSuspension<Awaiter>;

struct AwaitedByPlainCoroutine {
    template <std::size_t bytes>
    static Task call(batching::Batcher<Item<bytes>, int>& batcher, asio::io_context& context,
                     double& held, std::size_t& left) {
        co_await TimedSuspension{
            batcher.process(Item<bytes>{}).resume_on(context.get_executor()).operator co_await(),
            held};
        --left;
    }
};

struct AsyncProcess {
    template <std::size_t bytes>
    static void call(batching::Batcher<Item<bytes>, int>& batcher, asio::io_context& context,
                     double& held, std::size_t& left) {
        const Stopwatch watch(held);
        batcher.async_process(Item<bytes>{},
                              asio::bind_executor(context.get_executor(),
                                                  [&left](std::exception_ptr, int) { --left; }));
    }
};

constexpr std::size_t callers_of_a_batch = 32;

// The function is on a worker. Of each batch the call that took longest, which is that of the caller who fills it, or
// who allocates; of the batches the median. In us.
template <std::size_t bytes, class Call>
std::vector<double> longest_call(std::size_t batches) {
    asio::io_context context(1);
    std::optional<batching::Batcher<Item<bytes>, int>> batcher;
    {
        const Pinned elsewhere(1);
        batcher.emplace(first_bytes<bytes>,
                        batching::Options{.max_batch_size = callers_of_a_batch,
                                          .batch_timeout = batching::no_timeout});
    }
    const auto work = asio::make_work_guard(context);
    std::vector<double> longest;
    for (std::size_t n = 0; n <= batches; ++n) {
        std::array<double, callers_of_a_batch> held{};
        std::size_t left = held.size();
        for (double& one : held) {
            asio::post(context, [&] { Call::call(*batcher, context, one, left); });
        }
        while (left > 0) context.run_one();
        // The first batch finds no memory that was used before.
        if (n > 0) longest.push_back(*std::max_element(held.begin(), held.end()) / 1e3);
    }
    return {quantile(longest, 0.5)};
}

// What a call cannot do without: its item is copied into its place.
template <std::size_t bytes>
std::vector<double> one_copy(std::size_t times) {
    std::vector<double> copies;
    std::vector<Item<bytes>> items(callers_of_a_batch);
    for (std::size_t n = 0; n < times; ++n) {
        double held = 0;
        {
            const Stopwatch watch(held);
            items[(n + 1) % items.size()] = items[n % items.size()];
        }
        copies.push_back(held / 1e3);
    }
    return {quantile(copies, 0.5)};
}

void measure_held_callers(const Settings& settings) {
    constexpr std::size_t small = 4;
    constexpr std::size_t large = 600'000;
    const std::size_t batches = settings.quick ? 3 : 50;
    Sheet sheet(settings, "latency_held", {}, {{"held", "us"}});
    const auto contender = [&](const char* arrangement, const char* name, auto run) {
        return Contender{arrangement, name, [run, batches] { return run(batches); }};
    };
    const char* const plain = "plain coroutines, await_suspend";
    const char* const tokens = "handlers, async_process";
    sheet.measure(
        "Batches of 32, a worker: the caller that one call holds longest", {},
        {contender(plain, "items of 4 B", longest_call<small, AwaitedByPlainCoroutine>),
         contender(plain, "items of 600 KB", longest_call<large, AwaitedByPlainCoroutine>),
         contender(tokens, "items of 4 B", longest_call<small, AsyncProcess>),
         contender(tokens, "items of 600 KB", longest_call<large, AsyncProcess>),
         contender("no library", "one copy of 4 B", one_copy<small>),
         contender("no library", "one copy of 600 KB", one_copy<large>)});
}

// ---- open loops -------------------------------------------------------------------------------------------

template <class Batcher, class Caller>
std::vector<double> open_loop(double rate, std::size_t items) {
    return on_one_thread<Batcher>(
        items, Nanoseconds(0),
        [&](asio::io_context& context, Batcher& batcher, Latencies& latencies) {
            return std::make_unique<Generator>(
                context, rate, items, [&](std::size_t i, Clock::time_point due) {
                    Caller::one(context, batcher, latencies, static_cast<int>(i), due);
                });
        });
}

// The generator alone: how late items come.
std::vector<double> generator_alone(double rate, std::size_t items) {
    asio::io_context context(1);
    Latencies latencies(items, [] {});
    const Generator generator(context, rate, items, [&](std::size_t, Clock::time_point due) {
        latencies.record(due, Clock::now());
    });
    context.run();
    return latencies.quantiles();
}

// 64 threads that share the items out; each waits until its next one is due.
template <class Batcher>
std::vector<double> open_loop_of_threads(double rate, std::size_t items) {
    constexpr std::size_t threads = 64;
    std::optional<Batcher> batcher;
    {
        const Pinned elsewhere(1);
        batcher.emplace(rules);
    }
    const auto start = Clock::now() + std::chrono::milliseconds(20);
    std::vector<std::vector<std::pair<Clock::time_point, Clock::time_point>>> times(threads);
    const auto call = [&](std::size_t thread) {
        for (std::size_t i = thread; i < items; i += threads) {
            const auto due =
                start + Nanoseconds(static_cast<std::int64_t>(1e9 / rate * static_cast<double>(i)));
            std::this_thread::sleep_until(due);
            check_result(static_cast<int>(i), batcher->process(static_cast<int>(i)));
            times[thread].emplace_back(due, Clock::now());
        }
    };
    std::vector<std::thread> callers;
    for (std::size_t i = 0; i < threads; ++i) callers.emplace_back(call, i);
    for (auto& caller : callers) caller.join();
    Latencies latencies(items, [] {});
    for (const auto& one : times) {
        for (const auto& [due, done] : one) latencies.record(due, done);
    }
    return latencies.quantiles();
}

void measure_open_loops(const Settings& settings) {
    Sheet sheet(settings, "latency_open", {"items_per_second"}, latency_metrics());
    for (const std::size_t rate : {1'000, 10'000, 100'000}) {
        const double seconds = settings.quick ? 0.02 : 0.3;
        const auto items = static_cast<std::size_t>(static_cast<double>(rate) * seconds);
        const auto contender = [&](const char* name, auto run) {
            return Contender{"open loop", name,
                             [run, rate, items] { return run(static_cast<double>(rate), items); }};
        };
        sheet.measure(
            fmt::format("{} items a second, batches of up to 64, 1 ms: from due to done",
                        with_commas(rate)),
            {std::to_string(rate)},
            {contender("no library, one thread", open_loop<FloorOnOne, OncePlain>),
             contender("no library, two threads", open_loop<FloorOnTwo, OncePlain>),
             contender("this library, one thread", open_loop<BatcherOnContext, OncePlain>),
             contender("this library, asio::awaitable", open_loop<BatcherOnContext, OnceAwaitable>),
             contender("this library, with a worker", open_loop<BatcherWithWorker, OncePlain>),
             contender("this library, 64 blocking threads", open_loop_of_threads<BlockingBatcher>),
             contender("by hand: Asio channel and timer", open_loop<AsioChannel, OnceAwaitable>),
             contender("by hand: promise and future", open_loop_of_threads<PromiseFuture>),
             contender("the generator alone", generator_alone)});
    }
}

}  // namespace

int main(int argc, char** argv) {
    const Settings settings = settings_from(argc, argv);
    Budgets budgets(settings, "latency");
    measure_lone_caller(settings, budgets);
    measure_held_callers(settings);
    measure_open_loops(settings);
    budgets.print();
}

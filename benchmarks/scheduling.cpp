// Table 7: scheduling. What an item costs where there is a latency_target, or that has a timeout, a priority, a weight, a
// key, or an equal one; and what these, isolation and padding do.
#include <algorithm>
#include <arrangements.hpp>
#include <batcher.hpp>
#include <batcher/prometheus.hpp>
#include <bit>
#include <chrono>
#include <cmath>
#include <competitors/batcher.hpp>
#include <competitors/batcher_traced.hpp>
#include <competitors/batcher_with_terms.hpp>
#include <cost_contender.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <measure.hpp>
#include <random>
#include <simulation.hpp>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace bench;
using namespace std::chrono_literals;

namespace {

// ---- cost -----------------------------------------------------------------------------------------------

// Each caller has items of its own, or shares them with as many others.
template <int sharing>
struct CallersOfItems {
    static void start(asio::io_context& context, auto& batcher, auto& lap, int x) {
        PlainCoroutines::start(context, batcher, lap, x / sharing << 16);
    }
};

const char* const plain_call = "a plain call";
const char* const at_once = "batch_timeout 0";
const char* const with_target = "latency_target";
const char* const with_timeout = "a timeout";
const char* const with_any_timeout = "a timeout, each another";
const char* const with_high = "a high priority";
const char* const with_priority = "a priority, each another";
const char* const with_weight = "a weight";
const char* const with_key = "a key, one of 100";
const char* const with_observer = "observe()";
const char* const with_tracer = "trace(), no caller has a span";
const char* const with_spans = "trace(), each caller has a span";
const char* const all_different = "deduplicate(), all items different";
const char* const each_twice = "deduplicate(), each item twice";

void measure_cost(const Settings& settings, Budgets& budgets) {
    Sheet sheet(settings, "scheduling_cost", {"callers"}, {{"cost", "ns"}});
    const auto measure = [&](std::size_t callers, auto add_all) {
        std::vector<Contender> all;
        add_all([&](const char* name, auto cost) {
            const ClosedLoopLoad load{.callers = callers, .items = 0, .rules = {}};
            all.push_back(
                cost_contender("one thread, plain coroutines", name, load, settings, cost));
        });
        return sheet.measure(fmt::format("Cost of an item: {} callers, batches of up to {}",
                                         with_commas(callers), Rules().max_batch_size),
                             {std::to_string(callers)}, all);
    };
    const auto median = [&](const Results& results, const char* of) {
        return results.median("one thread, plain coroutines", of);
    };
    const auto beyond_plain = [&](const Results& results, const char* name, double limit) {
        budgets.at_most(fmt::format("{}: ns an item, beyond a plain call", name),
                        median(results, name) - median(results, plain_call), limit);
    };

    using Own = CallersOfItems<1>;
    const Results results = measure(256, [](auto add) {
        add(plain_call, callers_on_one_thread<BatcherOnContext, Own>);
        add(at_once, callers_on_one_thread<BatcherAtOnce, Own>);
        add(with_target, callers_on_one_thread<BatcherWithTarget, Own>);
        add(with_timeout, callers_on_one_thread<BatcherAsked<SameTimeout>, Own>);
        add(with_any_timeout, callers_on_one_thread<BatcherAsked<AnyTimeout>, Own>);
        add(with_high, callers_on_one_thread<BatcherAsked<HighPriority>, Own>);
        add(with_priority, callers_on_one_thread<BatcherAsked<AnyPriority>, Own>);
        add(with_weight, callers_on_one_thread<BatcherWithRule<WeightOfOne>, Own>);
        add(with_observer, callers_on_one_thread<BatcherWithRule<Observed>, Own>);
        add(with_tracer, callers_on_one_thread<BatcherWithRule<Traced<false>>, Own>);
        add(with_spans, callers_on_one_thread<BatcherWithRule<Traced<true>>, Own>);
        add(all_different, callers_on_one_thread<BatcherWithRule<Deduplicated>, Own>);
        add(each_twice, callers_on_one_thread<BatcherWithRule<Deduplicated>, CallersOfItems<2>>);
    });
    beyond_plain(results, with_target, 10);
    beyond_plain(results, with_timeout, 25);
    beyond_plain(results, with_any_timeout, 25);
    beyond_plain(results, with_priority, 10);
    beyond_plain(results, with_weight, 5);
    beyond_plain(results, all_different, 60);
    budgets.at_most("observe(): ns a batch, beyond plain calls",
                    (median(results, with_observer) - median(results, plain_call)) *
                        static_cast<double>(Rules().max_batch_size),
                    150);

    // As many as fill a batch of each key; the plain call has the same callers here.
    const Results of_keys = measure(6'400, [](auto add) {
        add(plain_call, callers_on_one_thread<BatcherOnContext, PlainCoroutines>);
        add(with_key, callers_on_one_thread<BatcherWithRule<KeyOfHundred>, PlainCoroutines>);
    });
    beyond_plain(of_keys, with_key, 40);
}

// ---- watching -------------------------------------------------------------------------------------------

// Of a Batcher that has run: what one look takes, all of it under the Batcher's lock in the first row only.
void measure_watching(const Settings& settings, Budgets& budgets) {
    Sheet sheet(settings, "scheduling_watching", {}, {{"a look", "us"}});
    batching::Batcher<int, int> batcher(twice, {.batch_timeout = 0ms});
    for (int i = 0; i < 100; ++i) batcher.process_many(std::vector<int>(1'000, i)).get();
    const batching::Stats stats = batcher.stats();
    const auto look = [](const char* name, auto once) {
        return Contender{"after 100,000 calls", name, [once] {
                             constexpr int times = 200;
                             const auto began = Clock::now();
                             std::size_t size = 0;
                             for (int i = 0; i < times; ++i) size += once();
                             const double ns = nanoseconds_between(began, Clock::now());
                             if (size == 0) throw std::logic_error("nothing was seen");
                             return std::vector<double>{ns / 1e3 / times};
                         }};
    };
    const char* const snapshot = "stats()";
    const Results results = sheet.measure(
        "What it takes to look at a Batcher", {},
        {look(snapshot, [&] { return batcher.stats().completed; }),
         look("diagnosis(stats)", [&] { return batching::diagnosis(stats).size(); }),
         look("to_prometheus(stats)", [&] { return batching::to_prometheus(stats, "x").size(); })});
    budgets.at_most("stats() ten times a second: share of a Batcher's time, in %",
                    results.median("after 100,000 calls", snapshot) * 10 / 1e6 * 100, 1);
}

// ---- many that wait with timeouts -----------------------------------------------------------------------

const char* const no_timeouts = "no timeout, all cancelled";
const char* const same_timeouts = "a timeout, all expire";
const char* const any_timeouts = "a timeout, each another, all expire";

// Calls of 100 items each, so that what each caller costs is little beside what their items do.
constexpr std::size_t together = 100;

// ns an item, to hand it in and until it has failed.
std::vector<double> submit_and_fail(std::size_t items, bool expires,
                                    batching::CallOptions (*options_of)(int)) {
    Simulation simulation;
    batching::Batcher<int, int, SimulatedClock> batcher(
        simulation.context(), twice,
        {.max_batch_size = 2 * items, .batch_timeout = batching::no_timeout});
    std::size_t left = items;
    const auto failed = [&left](const std::exception_ptr&,
                                const std::vector<batching::Result<int>>& results) {
        for (const auto& result : results) left -= result.has_value() ? 0 : 1;
    };
    const auto began = Clock::now();
    for (std::size_t i = 0; i < items; i += together) {
        batcher.async_process_each(std::vector<int>(together), options_of(static_cast<int>(i)),
                                   failed);
    }
    const auto submitted = Clock::now();
    SimulatedClock::elapsed += 10s;
    if (!expires) batcher.cancel();
    while (left > 0) simulation.context().poll();
    const auto ended = Clock::now();
    return {nanoseconds_between(began, submitted) / static_cast<double>(items),
            nanoseconds_between(submitted, ended) / static_cast<double>(items)};
}

void measure_timeouts(const Settings& settings, Budgets& budgets) {
    Sheet sheet(settings, "scheduling_timeouts", {"waiting"}, {{"submit", "ns"}, {"fail", "ns"}});
    std::map<std::string, std::map<std::size_t, std::vector<Figures>>> cost;
    for (std::size_t items = 1'000; items <= 1'000'000; items *= 10) {
        if (settings.quick && items > 10'000) continue;
        // Few of them often enough to take as long as many.
        const auto contender = [&](const char* name, bool expires, auto options_of) {
            return Contender{"one thread, 100 items a call", name, [=] {
                                 const std::size_t times =
                                     std::max<std::size_t>(1, 100'000 / items);
                                 std::vector<double> sum(2);
                                 for (std::size_t i = 0; i < times; ++i) {
                                     const auto one = submit_and_fail(items, expires, options_of);
                                     for (std::size_t m = 0; m < 2; ++m) sum[m] += one[m];
                                 }
                                 for (double& total : sum) total /= static_cast<double>(times);
                                 return sum;
                             }};
        };
        const Results results = sheet.measure(
            fmt::format("Cost of an item that fails: {} waiting at once", with_commas(items)),
            {std::to_string(items)},
            {contender(no_timeouts, false, [](int) { return batching::CallOptions{}; }),
             contender(same_timeouts, true, &SameTimeout::of),
             contender(any_timeouts, true, &AnyTimeout::of)});
        for (const Measured& row : results.rows()) cost[row.name][items] = row.figures;
    }
    if (settings.quick) return;
    // log n grows by 2, the rest is that a million items are in no cache.
    for (const char* name : {same_timeouts, any_timeouts}) {
        for (std::size_t metric = 0; metric < 2; ++metric) {
            budgets.at_most(fmt::format("{}: {} with 1,000,000 waiting, times that with 1,000",
                                        name, metric == 0 ? "submit" : "fail"),
                            cost[name][1'000'000][metric].median / cost[name][1'000][metric].median,
                            10);
        }
    }
}

// ---- keys -----------------------------------------------------------------------------------------------

// What is simulated is exact: a round is another seed, and nobody disturbs it.
Settings for_simulation(Settings settings) {
    settings.rounds = std::min<std::size_t>(settings.rounds, 5);
    return settings;
}

SimulatedClock::duration length_of(const Settings& settings) {
    return settings.quick ? 20ms : 250ms;
}

struct Request {
    std::size_t key;
    SimulatedClock::duration at;
};

// Calls at random times, with so many a second on the average.
class Arrivals {
public:
    Arrivals(double per_second, std::uint64_t seed) : gaps_(per_second / 1e9), random_(seed) {}
    SimulatedClock::duration next() {
        now_ += gaps_(random_);
        return SimulatedClock::duration(static_cast<SimulatedClock::rep>(now_));
    }

private:
    std::exponential_distribution<double> gaps_;
    std::mt19937_64 random_;
    double now_ = 0;
};

struct Offered {
    double small;
    double large;
    bool keys;
};

// p50 and p99 of how long the small key's items wait for their batches to be formed, and p99 of the large one's, in ms.
// The function takes 0.4 ms and 10 us an item, at most 32.
std::vector<double> waits_of_two_keys(const Offered& offered, SimulatedClock::duration length,
                                      std::uint64_t seed) {
    Simulation simulation;
    std::vector<double> waits[2];
    const auto function =
        [&](const std::vector<Request>& batch) -> asio::awaitable<std::vector<int>> {
        for (const Request& request : batch) {
            waits[request.key].push_back(
                std::chrono::duration<double, std::milli>(simulation.now() - request.at).count());
        }
        co_await simulation.pass(400us + 10us * batch.size());
        co_return std::vector<int>(batch.size());
    };
    const batching::Options options{.max_batch_size = 32, .batch_timeout = 1ms};
    using Batcher = batching::Batcher<Request, int, SimulatedClock>;
    const auto run = [&](Batcher batcher) {
        std::vector<std::function<void()>> calls(2);
        for (std::size_t key = 0; key < 2; ++key) {
            const double per_second = key == 0 ? offered.small : offered.large;
            if (per_second == 0) continue;
            calls[key] = [&, key, arrivals = Arrivals(per_second, 2 * seed + key)]() mutable {
                const auto at = arrivals.next();
                simulation.at(at, [&, key, at] {
                    batcher.async_process(Request{key, at}, [](const std::exception_ptr&, int) {});
                    calls[key]();
                });
                simulation.at(at + SimulatedClock::duration(options.batch_timeout));
            };
            calls[key]();
        }
        simulation.run_until(length);
    };
    if (offered.keys) {
        run(Batcher(simulation.context(), function, options,
                    batching::key_by([](const Request& request) { return request.key; })));
    } else {
        run(Batcher(simulation.context(), function, options));
    }
    return {quantile(waits[0], 0.5), quantile(waits[0], 0.99),
            offered.large == 0 ? 0 : quantile(waits[1], 0.99)};
}

void measure_fairness(const Settings& settings, Budgets& budgets) {
    Sheet sheet(for_simulation(settings), "scheduling_fairness", {"small_per_second"},
                {{"p99", "ms"}, {"p50", "ms"}, {"p99 large", "ms"}});
    const SimulatedClock::duration length = length_of(settings);
    for (const double small : {2'000.0, 6'000.0}) {
        const auto contender = [&](const char* name, const Offered& offered) {
            return Contender{"simulated", name, [=, seed = std::uint64_t{0}]() mutable {
                                 auto waits = waits_of_two_keys(offered, length, seed++);
                                 std::swap(waits[0], waits[1]);
                                 return waits;
                             }};
        };
        const Results results = sheet.measure(
            fmt::format("Waits of a key that offers {:.0f} items a second, of 44,000 possible",
                        small),
            {fmt::format("{:.0f}", small)},
            {contender("alone", {small, 0, true}),
             contender("beside a key that offers ten times as much", {small, 10 * small, true}),
             contender("the same without keys", {small, 10 * small, false})});
        budgets.at_most(
            fmt::format("{:.0f} items a second beside ten times as many of another key: p99 wait, "
                        "times that alone",
                        small),
            results.rows()[1].figures[0].median / results.rows()[0].figures[0].median, 2);
    }
}

// ---- isolation ------------------------------------------------------------------------------------------

// How often the function is called for 64 items of which some are bad.
double calls_for(const std::function<bool(int)>& bad) {
    std::size_t calls = 0;
    const auto function = [&](const std::vector<int>& batch) {
        ++calls;
        if (std::any_of(batch.begin(), batch.end(), bad)) throw std::domain_error("a bad item");
        return twice(batch);
    };
    asio::io_context context(1);
    batching::Batcher batcher{
        context, batching::isolate_failures(function), {.max_batch_size = 64}};
    std::size_t wrong = 0;
    for (int item = 0; item < 64; ++item) {
        batcher.async_process(item, [&, item](const std::exception_ptr& error, int) {
            if ((error != nullptr) != bad(item)) ++wrong;
        });
    }
    context.run();
    if (wrong != 0) throw std::logic_error("a wrong fate of an item");
    return static_cast<double>(calls);
}

void measure_isolation(const Settings& settings, Budgets& budgets) {
    Sheet sheet(settings, "scheduling_isolation", {}, {{"calls", ""}});
    const auto of_one = [] {
        std::vector<double> calls;
        for (int bad = 0; bad < 64; ++bad) {
            calls.push_back(calls_for([&](int item) { return item == bad; }));
        }
        return std::vector<double>{*std::max_element(calls.begin(), calls.end())};
    };
    const Results results =
        sheet.measure("Most calls of the function for a batch of 64", {},
                      {{"isolate_failures", "no bad item",
                        [] { return std::vector<double>{calls_for([](int) { return false; })}; }},
                       {"isolate_failures", "one bad item, wherever it is", of_one},
                       {"isolate_failures", "an outage: all items fail",
                        [] { return std::vector<double>{calls_for([](int) { return true; })}; }}});
    const auto calls = [&](std::size_t row) { return results.rows()[row].figures[0].max; };
    budgets.at_most("one bad item of 64: calls of the function", calls(1), 13);
    budgets.at_most("an outage: calls of the function for 64 items", calls(2), 3);
}

// ---- padding --------------------------------------------------------------------------------------------

// How much of what a function works on is padding, in percent, and the p99 wait in ms.
struct Padding {
    double real = 0;
    double padded = 0;
    std::vector<double> waits;

    void count(double of_items, double of_batch) {
        real += of_items;
        padded += of_batch;
    }
    std::vector<double> figures() { return {100 * (1 - real / padded), quantile(waits, 0.99)}; }
};

struct Text {
    std::size_t tokens;
    SimulatedClock::duration at;
};

// From 1 to 512, short ones more often.
Text random_text(std::mt19937_64& random, SimulatedClock::duration at) {
    const double tokens = std::lognormal_distribution<double>(4, 1)(random);
    return {static_cast<std::size_t>(std::clamp(tokens, 1.0, 512.0)), at};
}

// `make(simulation, padding)` gives the Batcher.
template <class Make>
Contender texts(const char* arrangement, const char* name, double per_second,
                SimulatedClock::duration length, Make make) {
    return {arrangement, name, [=, seed = std::uint64_t{0}]() mutable {
                Simulation simulation;
                Padding padding;
                auto batcher = make(simulation, padding);
                Arrivals arrivals(per_second, ++seed);
                std::mt19937_64 random(seed);
                std::function<void()> call = [&] {
                    const auto at = arrivals.next();
                    simulation.at(at, [&, at] {
                        batcher.async_process(random_text(random, at),
                                              [](const std::exception_ptr&, int) {});
                        call();
                    });
                    simulation.at(at + 5ms);
                };
                call();
                simulation.run_until(length);
                return padding.figures();
            }};
}

using Texts = batching::Batcher<Text, int, SimulatedClock>;

void note_waits(const Simulation& simulation, const std::vector<Text>& batch, std::size_t count,
                Padding& padding) {
    for (std::size_t i = 0; i < count; ++i) {
        padding.waits.push_back(
            std::chrono::duration<double, std::milli>(simulation.now() - batch[i].at).count());
    }
}

// A model that takes batches of a few sizes, and 1 ms and 20 us an item.
auto padded_to(std::vector<std::size_t> sizes) {
    return [=](Simulation& simulation, Padding& padding) {
        const auto function =
            [&](const std::vector<Text>& batch,
                const batching::BatchInfo& info) -> asio::awaitable<std::vector<int>> {
            const std::size_t real = info.calls().size();
            note_waits(simulation, batch, real, padding);
            padding.count(static_cast<double>(real), static_cast<double>(batch.size()));
            co_await simulation.pass(1ms + 20us * batch.size());
            co_return std::vector<int>(batch.size());
        };
        return Texts(simulation.context(), batching::pad_to(sizes, function),
                     {.max_batch_size = 64, .batch_timeout = 5ms});
    };
}

// A model that fills all texts of a batch up to the longest, and takes 1 ms and 0.5 us a token.
template <class... Rules>
auto filled_up(const batching::Options& options, Rules... rules) {
    return [=](Simulation& simulation, Padding& padding) {
        const auto function =
            [&](const std::vector<Text>& batch) -> asio::awaitable<std::vector<int>> {
            note_waits(simulation, batch, batch.size(), padding);
            std::size_t tokens = 0;
            std::size_t longest = 0;
            for (const Text& text : batch) {
                tokens += text.tokens;
                longest = std::max(longest, text.tokens);
            }
            padding.count(static_cast<double>(tokens), static_cast<double>(longest * batch.size()));
            co_await simulation.pass(1ms + 500ns * longest * batch.size());
            co_return std::vector<int>(batch.size());
        };
        return Texts(simulation.context(), function, options, rules...);
    };
}

void measure_padding(const Settings& settings) {
    Sheet sheet(for_simulation(settings), "scheduling_padding", {},
                {{"padding", "%"}, {"p99", "ms"}});
    const SimulatedClock::duration length = length_of(settings);
    const auto by_length =
        batching::key_by([](const Text& text) { return std::bit_width(text.tokens - 1); });
    const auto by_tokens = batching::weigh([](const Text& text) { return text.tokens; });
    const batching::Options options{.max_batch_size = 64, .batch_timeout = 5ms};
    batching::Options weighed = options;
    weighed.max_batch_weight = 2'048;
    const auto items = [&](const char* name, auto make) {
        return texts("items, of batches of certain sizes: 3,000 texts a second", name, 3'000,
                     length, make);
    };
    const auto tokens = [&](const char* name, auto make) {
        return texts("tokens, as the longest text of a batch has them: 8,000 texts a second", name,
                     8'000, length, make);
    };
    sheet.measure(
        "How much of the work is padding", {},
        {items("one size, 64", padded_to({64})),
         items("pad_to({8, 16, 32, 64})", padded_to({8, 16, 32, 64})),
         tokens("batches of 64", filled_up(options)),
         tokens("the same, of 2,048 tokens at most", filled_up(weighed, by_tokens)),
         tokens("the same, and a key for each length", filled_up(weighed, by_tokens, by_length))});
}

}  // namespace

int main(int argc, char** argv) {
    const Settings settings = settings_from(argc, argv);
    Budgets budgets(settings, "scheduling");
    measure_cost(settings, budgets);
    measure_watching(settings, budgets);
    measure_timeouts(settings, budgets);
    measure_fairness(settings, budgets);
    measure_isolation(settings, budgets);
    measure_padding(settings);
    budgets.print();
}

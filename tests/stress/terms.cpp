// All that calls and items may ask for, at once and from several threads: timeouts, priorities, weights, keys, equal
// items that share a place and join those that run, rules that throw, full queues, options that change; callers that are
// cancelled, that are destroyed while they wait or run, and Batchers that are destroyed while others call. Every call
// completes exactly once, with the result of its own item or with an error that it may have; every batch keeps the rules.

#include "support.hpp"

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>

namespace {

using namespace stress;
using batching::CallOptions;
using batching::errc;
using batching::Priority;

struct Item {
    int key;
    int value;
    std::string text;  // not trivially copied
    bool operator==(const Item&) const = default;
};

constexpr std::size_t heaviest = 9;

}  // namespace

template <>
struct std::hash<Item> {
    std::size_t operator()(const Item& item) const noexcept { return std::hash<int>{}(item.value); }
};

namespace {

Item some_item() {
    const int value = static_cast<int>(below(40));
    return {static_cast<int>(below(3)), value,
            "an item that is not short " + std::to_string(value)};
}
std::string result_of(const Item& item) {
    return item.text + " of the key " + std::to_string(item.key);
}

CallOptions some_options() {
    CallOptions options;
    switch (below(4)) {
        case 0:
            options.timeout = std::chrono::microseconds(below(2'000));
            break;
        case 1:
            options.timeout = 1s;
            break;
        default:
            break;
    }
    options.priority = static_cast<Priority>(below(3));
    return options;
}

// ---- rules -----------------------------------------------------------------------------------------------

struct NoRule : std::runtime_error {
    using std::runtime_error::runtime_error;
};

std::size_t weight_of(const Item& item) { return static_cast<std::size_t>(item.value) % 10; }
std::size_t weigh_some(const Item& item) {
    if (item.value == 13) throw NoRule("it has no weight");
    return weight_of(item);
}
std::string key_of(const Item& item) {
    if (item.value == 14) throw NoRule("it has no key");
    return "key " + std::to_string(item.key);
}

// ---- the batch function ----------------------------------------------------------------------------------

struct Broken : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Checks {
    std::size_t max_size;
    std::size_t max_weight;
    bool keyed;
    bool shared;

    void operator()(const std::vector<Item>& items) const {
        check(!items.empty() && items.size() <= max_size,
              "a batch is not empty, and not too large");
        std::size_t weight = 0;
        std::set<std::pair<int, int>> different;
        for (const Item& item : items) {
            weight += weight_of(item);
            check(!keyed || item.key == items.front().key, "a batch has one key");
            different.emplace(item.key, item.value);
        }
        check(weight <= max_weight, "a batch is not too heavy");
        check(!shared || different.size() == items.size(), "equal items share a place");
    }
};

std::vector<batching::Result<std::string>> run(const Checks& checks, std::vector<Item> items) {
    checks(items);
    pause(60);
    if (below(16) == 0) throw Broken("the function is broken");
    std::vector<batching::Result<std::string>> results;
    for (const Item& item : items) {
        if (item.value == 15) {
            results.emplace_back(std::make_exception_ptr(Broken("the item is broken")));
        } else {
            results.emplace_back(result_of(item));
        }
    }
    return results;
}

// ---- what becomes of calls -------------------------------------------------------------------------------

struct Totals {
    std::atomic<std::uint64_t> values{0}, late{0}, overloaded{0}, heavy{0}, no_rule{0}, broken{0},
        aborted{0}, closed{0}, destroyed{0};
} totals;

void count_error(const std::exception_ptr& error) {
    if (is_aborted(error)) {
        ++totals.aborted;
        return;
    }
    try {
        std::rethrow_exception(error);
    } catch (const batching::Error& e) {
        const std::error_code code = e.code();
        const bool known = code == errc::deadline_exceeded || code == errc::overloaded ||
                           code == errc::too_heavy || code == errc::closed;
        check(known, "an error is one that the call may have");
        check(!e.retry_after() || *e.retry_after() >= 0ns, "nobody is told to retry in the past");
        ++(code == errc::deadline_exceeded ? totals.late
           : code == errc::overloaded      ? totals.overloaded
           : code == errc::too_heavy       ? totals.heavy
                                           : totals.closed);
    } catch (const NoRule&) {
        ++totals.no_rule;
    } catch (const Broken&) {
        ++totals.broken;
    } catch (...) {
        check(false, "an error is one that the call may have");
    }
}
void count_end(const std::exception_ptr& error, bool right) {
    if (error) return count_error(error);
    check(right, "a caller gets the result of its own item");
    ++totals.values;
}

using Batcher = batching::Batcher<Item, std::string>;
using Results = std::vector<batching::Result<std::string>>;

void count_each(const std::vector<Item>& items, const Results& results) {
    check(items.size() == results.size(), "each item has its fate");
    for (std::size_t i = 0; i < results.size(); ++i) {
        std::exception_ptr error;
        bool right = false;
        try {
            right = results[i].value() == result_of(items[i]);
        } catch (...) {
            error = std::current_exception();
        }
        count_end(error, right);
    }
}

std::vector<Item> some_items() {
    std::vector<Item> items;
    for (std::size_t n = 1 + below(4); n > 0; --n) items.push_back(some_item());
    return items;
}

// ---- callers ---------------------------------------------------------------------------------------------

void blocked_caller(Batcher& batcher) {
    std::exception_ptr error;
    bool right = false;
    try {
        const std::size_t kind = below(4);
        if (kind == 0) {
            const std::vector<Item> items = some_items();
            return count_each(items, batcher.process_each(items, some_options()).get());
        }
        if (kind == 1) {
            const std::vector<Item> items = some_items();
            const auto results = batcher.process_many(items, some_options()).get();
            right = results.size() == items.size();
            for (std::size_t i = 0; right && i < items.size(); ++i) {
                right = results[i] == result_of(items[i]);
            }
        } else {
            const Item item = some_item();
            right = (kind == 2 ? batcher.process(item).get()
                               : batcher.process(item, some_options()).get()) == result_of(item);
        }
    } catch (...) {
        error = std::current_exception();
    }
    count_end(error, right);
}

struct Suspended {
    bool over = false;
    Frame frame;
};

Frame await_one(Batcher& batcher, Suspended& self, asio::any_io_executor home) {
    std::exception_ptr error;
    bool right = false;
    try {
        const Item item = some_item();
        auto operation = batcher.process(Item(item), some_options());
        const std::string result = co_await std::move(operation).resume_on(home);
        right = result == result_of(item);
    } catch (...) {
        error = std::current_exception();
    }
    self.over = true;
    count_end(error, right);
}
Frame await_each(Batcher& batcher, Suspended& self, asio::any_io_executor home) {
    const std::vector<Item> items = some_items();
    auto operation = batcher.process_each(items, some_options());
    const Results results = co_await std::move(operation).resume_on(home);
    self.over = true;
    count_each(items, results);
}

// Coroutines that are destroyed by the thread that they resume on, and callbacks that are cancelled there.
class Home {
public:
    void step(Batcher& batcher) {
        switch (below(4)) {
            case 0:
                start(batcher);
                break;
            case 1:
                call(batcher);
                break;
            case 2:
                if (!frames_.empty()) destroy();
                break;
            default:
                if (!calls_.empty()) calls_[below(calls_.size())].signal.emit(some_type());
                break;
        }
        poll();
        while (frames_.size() > 20) destroy();
        pause(10);
    }
    // Everybody has an end.
    void finish() {
        while (frames_.size() > below(10)) destroy();
        const auto limit = Clock::now() + 20s;
        const auto waits = [&] {
            for (const auto& suspended : frames_) {
                if (!suspended.over) return true;
            }
            return open_ != 0;
        };
        while (waits() && Clock::now() < limit) poll();
        check(!waits(), "every call completes");
        if (waits()) std::_Exit(result());
    }

private:
    struct Call {
        asio::cancellation_signal signal;
        bool over = false;
    };

    static asio::cancellation_type some_type() {
        const asio::cancellation_type types[] = {asio::cancellation_type::total,
                                                 asio::cancellation_type::partial,
                                                 asio::cancellation_type::terminal};
        return types[below(3)];
    }
    void start(Batcher& batcher) {
        Suspended& self = frames_.emplace_back();
        self.frame = below(4) == 0 ? await_each(batcher, self, home_.get_executor())
                                   : await_one(batcher, self, home_.get_executor());
    }
    void call(Batcher& batcher) {
        Call& call = calls_.emplace_back();
        ++open_;
        const Item item = some_item();
        batcher.async_process(
            item, some_options(),
            asio::bind_cancellation_slot(
                call.signal.slot(),
                asio::bind_executor(home_, [this, &call, item](const std::exception_ptr& error,
                                                               const std::string& result) {
                    check(!call.over, "a call completes once");
                    call.over = true;
                    --open_;
                    count_end(error, result == result_of(item));
                })));
    }
    void destroy() {
        totals.destroyed += frames_.front().over ? 0 : 1;
        frames_.pop_front();
    }
    void poll() {
        home_.restart();
        home_.poll();
        while (!calls_.empty() && calls_.front().over) calls_.pop_front();
    }

    asio::io_context home_{1};
    std::deque<Suspended> frames_;
    std::deque<Call> calls_;
    int open_ = 0;
};

// ---- rounds ----------------------------------------------------------------------------------------------

// No more than those allow in a batch.
batching::Options others(batching::Options options) {
    options.max_batch_size = 1 + below(options.max_batch_size);
    options.batch_timeout = std::chrono::microseconds(below(300));
    options.max_queue_size = below(2) == 0 ? batching::no_limit : 2 + below(8);
    if (below(2) == 0) options.latency_target = std::chrono::microseconds(1 + below(1'000));
    return options;
}

// Some threads call, until one of them closes the Batcher, or destroys it while results are on their way.
void round(std::unique_ptr<Batcher> batcher, const batching::Options& options) {
    std::atomic<bool> over{false};
    std::atomic<int> calling{3};
    std::vector<std::thread> threads;
    threads.emplace_back([&] {
        while (!over) blocked_caller(*batcher);
        --calling;
    });
    for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&] {
            Home home;
            while (!over) home.step(*batcher);
            --calling;
            home.finish();
        });
    }
    for (int i = 0; i < 60; ++i) {
        pause(200);
        if (below(8) == 0) batcher->flush();
        if (below(16) == 0) batcher->cancel();
        if (below(8) == 0) batcher->reconfigure(others(options));
        check_sum(batcher->stats());
    }
    const bool closes = below(2) == 0;
    if (closes) batcher->close();
    over = true;
    while (calling > 0) std::this_thread::yield();
    if (closes && below(2) == 0) {
        batcher->drain().get();
        const batching::Stats stats = batcher->stats();
        check(stats.waiting == 0 && stats.running == 0, "nothing is left");
        check_sum(stats);
    }
    batcher.reset();
    for (auto& thread : threads) thread.join();
}

template <class... Rules>
std::unique_ptr<Batcher> make(asio::thread_pool& pool, const batching::Options& options, bool keyed,
                              bool shared, Rules... rules) {
    const Checks checks{options.max_batch_size, options.max_batch_weight, keyed, shared};
    const auto function = [checks](std::vector<Item> items) {
        return run(checks, std::move(items));
    };
    if (below(2) == 0) return std::make_unique<Batcher>(function, options, std::move(rules)...);
    return std::make_unique<Batcher>(pool, function, options, std::move(rules)...);
}

// Some calls have a context, so that what they share is behind that.
class SomeContexts final : public batching::Tracer {
public:
    batching::TraceContext current() override {
        batching::TraceContext context;
        context.trace_id[0] = context.span_id[0] = static_cast<std::uint8_t>(below(3));
        context.flags = static_cast<std::uint8_t>(below(2));
        return context;
    }
    std::unique_ptr<batching::BatchSpan> start(const batching::TracedBatch&) override {
        return nullptr;
    }
};

void some_round(asio::thread_pool& pool) {
    using namespace batching;
    batching::Options options{.max_batch_size = 1 + below(6),
                              .batch_timeout = std::chrono::microseconds(below(300)),
                              .max_concurrent_batches = 1 + below(3),
                              .max_queue_size = below(2) == 0 ? no_limit : 2 + below(8),
                              .priority_aging = std::chrono::microseconds(below(1'000))};
    const DeduplicateOptions sharing{.join_running = below(2) == 0};
    const std::size_t kind = below(5);
    if (kind == 0) return round(make(pool, options, false, false), options);
    if (kind == 1) return round(make(pool, options, false, true, deduplicate(sharing)), options);
    if (kind != 2) {
        options.max_batch_weight = heaviest - below(2) + below(10);
        options.max_queue_weight = below(2) == 0 ? no_limit : 10 + below(20);
    }
    if (kind == 3) return round(make(pool, options, false, false, weigh(weigh_some)), options);
    options.max_concurrent_batches_per_key = below(2) == 0 ? no_limit : 1;
    if (kind == 2) {
        return round(make(pool, options, true, true, key_by(key_of), deduplicate(sharing)),
                     options);
    }
    const auto value_of = [](const Item& item) { return item.value; };
    round(make(pool, options, true, true, deduplicate_by(value_of, sharing), key_by(key_of),
               weigh(weigh_some), trace(SomeContexts())),
          options);
}

}  // namespace

int main() {
    const Watchdog watchdog(90s);
    asio::thread_pool pool(2);
    const auto end = Clock::now() + duration();
    std::uint64_t rounds = 0;
    while (Clock::now() < end) {
        some_round(pool);
        ++rounds;
    }
    pool.join();
    fmt::print(
        "{} rounds: {} values, {} late, {} overloaded, {} too heavy, {} without a rule, {} broken, "
        "{} aborted, {} closed, {} destroyed\n",
        rounds, totals.values.load(), totals.late.load(), totals.overloaded.load(),
        totals.heavy.load(), totals.no_rule.load(), totals.broken.load(), totals.aborted.load(),
        totals.closed.load(), totals.destroyed.load());
    check(totals.values > 0 && totals.late > 0 && totals.overloaded > 0 && totals.no_rule > 0,
          "calls end in all ways");
    return result();
}

// A whole Batcher, with rules and without, over random schedules on one thread: callers of every kind ask for timeouts and
// priorities, rules throw, callers are cancelled and destroyed, batches run for a while and end in every way, time passes,
// the Batcher is flushed, closed, cancelled and destroyed.
//
// What each batch holds has to keep to the rules, each call has to end once, in a way that it may end in, and at the
// latest when its timeout passes; and the figures have to add up. (Which calls go first, and what shares a place, is told
// by the model of the machine: core/terms_model_test.cpp.)
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "catch.hpp"
#include "random_schedules.hpp"
#include "support.hpp"

namespace terms_schedules_test {

using namespace test;
using batching::CallOptions;
using batching::errc;
using batching::no_limit;
using batching::no_timeout;
using batching::Priority;
using batching::Result;

struct Item {
    int key = 0;
    int value = 0;
    std::size_t weight = 0;
    bool breaks_a_rule = false;  // one of them throws for it
    bool operator==(const Item& other) const { return key == other.key && value == other.value; }
};

int answer_to(const Item& item) { return 1'000 * item.key + item.value; }

struct RuleThrew : std::exception {};
struct FunctionThrew : std::exception {};

}  // namespace terms_schedules_test

template <>
struct std::hash<terms_schedules_test::Item> {
    std::size_t operator()(const terms_schedules_test::Item& item) const noexcept {
        return std::hash<int>{}(item.value % 3);  // equal ones of others, too
    }
};

namespace terms_schedules_test {

using Batcher = batching::Batcher<Item, int, ManualClock>;

// Which rules a schedule has.
struct Given {
    bool weights = false;
    bool keys = false;
    bool equals = false;
};

// Batches run until the schedule says how they end.
struct RunningBatch {
    explicit RunningBatch(aio::io_context& context)
        : ended(context, std::chrono::steady_clock::time_point::max()) {}
    aio::steady_timer ended;
    bool throws = false;
};

// A call, or many in one.
struct Caller {
    std::vector<Item> items;
    CallOptions options;
    ManualClock::time_point called = ManualClock::now();
    int times = 0;
    bool gone = false;  // destroyed, so nobody is told
    std::exception_ptr error;
    std::vector<Result<int>> results;
    aio::cancellation_signal signal;
    std::optional<Owned> coroutine;

    bool pending() const { return times == 0 && !gone; }
    bool late() const {
        return options.timeout != no_timeout &&
               ManualClock::now() - called >= std::chrono::nanoseconds(options.timeout);
    }
};

class Schedule {
public:
    Schedule(std::uint64_t seed, Given given) : random_(seed), given_(given) {
        use(any_options_of_batcher());
        make_batcher();
    }

    void run() {
        const std::size_t events = random_.between(1, 80);
        for (std::size_t i = 0; i < events && batcher_; ++i) {
            event();
            if (random_.one_in(2)) settle_and_check();
        }
        if (!random_.one_in(8)) end();  // or all is destroyed as it stands
    }

private:
    batching::Options any_options_of_batcher() {
        batching::Options options;
        options.max_batch_size = random_.between(1, 5);
        options.batch_timeout = pick_timeout();
        options.max_concurrent_batches = random_.between(1, 3);
        options.priority_aging = pick_timeout();
        if (random_.one_in(2)) options.max_queue_size = options.max_batch_size + random_.below(8);
        if (given_.weights && random_.one_in(2)) options.max_batch_weight = random_.between(3, 12);
        if (given_.weights && random_.one_in(3)) options.max_queue_weight = random_.between(12, 40);
        if (given_.keys && random_.one_in(2)) options.max_concurrent_batches_per_key = 1;
        if (random_.one_in(4))
            options.latency_target = std::chrono::milliseconds(random_.between(1, 20));
        return options;
    }

    batching::Timeout pick_timeout() {
        switch (random_.below(3)) {
            case 0:
                return 0;
            case 1:
                return std::chrono::milliseconds(random_.between(1, 20));
            default:
                return no_timeout;
        }
    }

    void make_batcher() {
        using namespace batching;
        const auto function = [this](std::vector<Item> items, const BatchInfo& batch) {
            return run_batch(std::move(items), batch);
        };
        const auto rule = [](const Item& item) {
            if (item.breaks_a_rule) throw RuleThrew();
        };
        const auto weight = weigh([=](const Item& item) {
            rule(item);
            return item.weight;
        });
        const auto key = key_by([=](const Item& item) {
            rule(item);
            return item.key;
        });
        const auto equal = deduplicate({.join_running = random_.one_in(2)});
        const auto make = [&](auto... rules) {
            batcher_.emplace(context_, function, options_, std::move(rules)...);
        };
        const unsigned which =
            (given_.weights ? 1U : 0U) | (given_.keys ? 2U : 0U) | (given_.equals ? 4U : 0U);
        switch (which) {
            case 0:
                return make();
            case 1:
                return make(weight);
            case 2:
                return make(key);
            case 3:
                return make(key, weight);
            case 4:
                return make(equal);
            case 5:
                return make(weight, equal);
            case 6:
                return make(equal, key);
            default:
                return make(key, equal, weight);
        }
    }

    aio::awaitable<std::vector<int>> run_batch(std::vector<Item> items,
                                               const batching::BatchInfo& batch) {
        MUST(!items.empty() && items.size() <= options_.max_batch_size);
        MUST(batch.calls().size() == items.size());
        std::size_t weight = 0;
        for (std::size_t i = 0; i < items.size(); ++i) {
            weight += items[i].weight;
            MUST(!given_.keys || items[i].key == items[0].key);
            MUST(!given_.equals || std::count(items.begin(), items.end(), items[i]) == 1);
            MUST(!items[i].breaks_a_rule || !(given_.weights || given_.keys));
        }
        if (given_.weights) {
            MUST(weight == batch.weight());
            // (What was let in before the limit was lower goes alone.)
            MUST(weight <= options_.max_batch_weight || items.size() == 1);
        }
        MUST(running_.size() < options_.max_concurrent_batches);
        RunningBatch self(context_);
        running_.push_back(&self);
        struct Leave {
            Schedule& schedule;
            RunningBatch* self;
            ~Leave() { std::erase(schedule.running_, self); }
        } const leave{*this, &self};
        if (!random_.one_in(8)) {
            batching::detail::error_code ignored;
            co_await self.ended.async_wait(aio::redirect_error(aio::use_awaitable, ignored));
        }
        if (self.throws) throw FunctionThrew();
        std::vector<int> answers;
        for (const Item& item : items) answers.push_back(answer_to(item));
        co_return answers;
    }

    // ---- events ----

    void event() {
        switch (random_.below(17)) {
            case 0:
            case 1:
            case 2:
            case 3:
            case 4:
            case 5:
            case 6:
                return call();
            case 7:
            case 8:
            case 9:
                return end_batch();
            case 10:
            case 11:
                return ManualClock::advance(std::chrono::microseconds(random_.below(8'000)));
            case 12:
                return leave();
            case 13:
                return batcher_->flush();
            case 14:
                if (random_.one_in(4)) batcher_->cancel();
                return;
            case 15:
                return reconfigure();
            default:
                if (random_.one_in(8)) batcher_->close();
                if (random_.one_in(8)) batcher_.reset();
                return;
        }
    }

    // What was formed by the options before starts by those.
    void reconfigure() {
        settle_and_check();
        use(any_options_of_batcher());
        batcher_->reconfigure(options_);
    }
    void use(const batching::Options& options) {
        options_ = options;
        limited_ |= options.max_queue_size != no_limit || options.max_queue_weight != no_limit;
        lightest_limit_ =
            std::min({lightest_limit_, options.max_batch_weight, options.max_queue_weight});
    }

    Item any_item() {
        Item item{static_cast<int>(random_.below(3)), static_cast<int>(random_.below(5)), 0, false};
        item.weight = static_cast<std::size_t>(item.value) + 1;
        if (random_.one_in(30)) item.weight = 50;  // too heavy, if there is a limit
        item.breaks_a_rule = random_.one_in(20);
        return item;
    }
    CallOptions any_options() {
        CallOptions options;
        if (random_.one_in(2)) options.priority = static_cast<Priority>(random_.below(3));
        if (random_.one_in(2)) options.timeout = std::chrono::milliseconds(random_.below(30));
        return options;
    }

    void call() {
        Caller& caller = callers_.emplace_back();
        if (random_.one_in(2)) caller.options = any_options();
        const std::size_t kind = random_.below(5);
        caller.items.resize(kind < 3 ? 1 : random_.below(5));
        for (Item& item : caller.items) item = any_item();
        const auto one = [&caller](const std::exception_ptr& error, int value) {
            ++caller.times;
            caller.error = error;
            caller.results.emplace_back(value);
        };
        const auto many = [&caller](const std::exception_ptr& error, const auto& values) {
            ++caller.times;
            caller.error = error;
            for (const auto& value : values) caller.results.emplace_back(value);
        };
        const auto bound = [&caller](auto handler) {
            return aio::bind_cancellation_slot(caller.signal.slot(), handler);
        };
        const bool plain = caller.options.timeout == no_timeout && random_.one_in(2);
        switch (kind) {
            case 0:
                if (plain) caller.options = {};
                return plain ? batcher_->async_process(caller.items[0], bound(one))
                             : batcher_->async_process(caller.items[0], caller.options, bound(one));
            case 1:
            case 2:
                caller.coroutine.emplace(await(*batcher_, caller));
                return;
            case 3:
                return batcher_->async_process_many(caller.items, caller.options, bound(many));
            default:
                return batcher_->async_process_each(caller.items, caller.options, bound(many));
        }
    }

    static Owned await(Batcher& batcher, Caller& caller) {
        try {
            auto operation = batcher.process(caller.items[0], caller.options);
            const int value = co_await std::move(operation);
            caller.results.emplace_back(value);
        } catch (...) {
            caller.error = std::current_exception();
        }
        ++caller.times;
    }

    void end_batch() {
        if (running_.empty()) return;
        RunningBatch& batch = *random_.pick(running_);
        batch.throws = random_.one_in(6);
        batch.ended.cancel();
    }

    void leave() {
        if (callers_.empty()) return;
        Caller& caller = random_.pick(callers_);
        if (!caller.pending()) return;
        if (!caller.coroutine) {
            return caller.signal.emit(random_.one_in(2) ? aio::cancellation_type::total
                                                        : aio::cancellation_type::terminal);
        }
        caller.gone = true;
        caller.coroutine.reset();
    }

    // ---- what has to hold ----

    void settle_and_check() {
        settle(context_);
        std::size_t pending = 0;
        for (const Caller& caller : callers_) {
            MUST(caller.times <= 1);
            MUST(!caller.gone || caller.times == 0);
            MUST(!caller.pending() || !caller.late());
            if (caller.times == 1) check_end(caller);
            if (caller.pending()) ++pending;
        }
        if (!batcher_) return;
        const batching::Stats stats = batcher_->stats();
        MUST(stats.submitted == stats.completed + stats.failed + stats.cancelled + stats.expired +
                                    stats.waiting + stats.running);
        MUST(pending == 0 || stats.waiting + stats.running != 0);
    }

    void check_end(const Caller& caller) const {
        if (caller.error) return check_error(caller, caller.error);
        MUST(caller.results.size() == caller.items.size());
        for (std::size_t i = 0; i < caller.items.size(); ++i) {
            const Result<int>& result = caller.results[i];
            if (!result.has_value()) {
                check_error(caller, result.error());
            } else {
                MUST(result.value() == answer_to(caller.items[i]));
            }
        }
    }

    void check_error(const Caller& caller, const std::exception_ptr& error) const {
        const auto any = [&](auto is) {
            return std::any_of(caller.items.begin(), caller.items.end(), is);
        };
        const bool has_timeout = caller.options.timeout != no_timeout;
        try {
            std::rethrow_exception(error);
        } catch (const batching::Error& e) {
            if (e.code() == errc::deadline_exceeded) {
                MUST(has_timeout);
            } else if (e.code() == errc::overloaded) {
                MUST(has_timeout || limited_);
            } else if (e.code() == errc::too_heavy) {
                MUST(given_.weights);
                MUST(any([&](const Item& item) { return item.weight > lightest_limit_; }));
            } else {
                MUST(e.code() == errc::closed);
            }
        } catch (const RuleThrew&) {
            MUST(any([](const Item& item) { return item.breaks_a_rule; }));
        } catch (const FunctionThrew&) {
        } catch (const batching::detail::system_error& e) {
            MUST(e.code() == aio::error::operation_aborted);
        }
    }

    // Nobody is forgotten.
    void end() {
        if (batcher_) {
            if (random_.one_in(2)) batcher_->close();
            for (int i = 0; i < 1'000 &&
                            (i == 0 || batcher_->stats().waiting + batcher_->stats().running != 0);
                 ++i) {
                batcher_->flush();
                for (RunningBatch* batch : running_) batch->ended.cancel();
                settle_and_check();
            }
            MUST(batcher_->stats().waiting + batcher_->stats().running == 0);
            batcher_.reset();
        }
        for (int i = 0; i < 1'000 && !running_.empty(); ++i) {
            for (RunningBatch* batch : running_) batch->ended.cancel();
            settle_and_check();
        }
        settle_and_check();
        for (const Caller& caller : callers_) MUST(!caller.pending());
    }

    Random random_;
    const Given given_;
    batching::Options options_;
    bool limited_ = false;                   // the queue is, or was
    std::size_t lightest_limit_ = no_limit;  // of weight, of all options so far
    std::vector<RunningBatch*> running_;
    std::deque<Caller> callers_;
    aio::io_context context_;
    std::optional<Batcher> batcher_;
};

TEST_CASE(
    "whatever calls ask for and rules say, each call ends once, and each batch keeps to the rules",
    "[model]") {
    for_random_schedules(2'000, [](std::uint64_t seed) {
        const Given given{(seed & 1U) != 0, (seed & 2U) != 0, (seed & 4U) != 0};
        Schedule(seed, given).run();
    });
}

}  // namespace terms_schedules_test

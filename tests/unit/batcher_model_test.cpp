// The whole Batcher against a model of the contract, over thousands of random schedules on one thread:
// callers of every kind come, are cancelled by their slots and are destroyed while they wait and while
// they run, time passes, batches run at once and end in every way, the Batcher is flushed, cancelled,
// closed, drained and destroyed, or its context is.
//
// After every few events the contexts run until nothing more happens, and all that can be seen from
// outside must be what the model says: which batches were formed, of which items, in which order, who was
// resumed with what, the figures of stats(), and whether anything keeps the contexts alive.

#include <algorithm>
#include <batcher.hpp>
#include <chrono>
#include <coroutine>
#include <cstddef>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#if defined(BATCHER_USE_BOOST_ASIO)
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#else
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/detached.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>
#endif

#include "catch.hpp"
#include "manual_clock.hpp"
#include "random_schedules.hpp"

namespace batcher_model_test {

namespace asio = batching::asio;
using namespace std::chrono_literals;
using Time = ManualClock::time_point;

// An item: it can only be moved, and has no default constructor.
struct Ball {
    explicit Ball(int i) : id(std::make_unique<int>(i)) {}
    std::unique_ptr<int> id;
};
using Batcher = batching::Batcher<Ball, int, ManualClock>;

// What a call may end with, besides a value; values are positive.
enum : int {
    aborted = -1,
    overloaded = -2,
    closed = -3,
    thrown = -4,
    alone = -5,
    miscounted = -6,
    other = -9
};

struct Thrown {};
struct Alone {};

int code_of(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const batching::Error& e) {
        if (e.code() == batching::errc::overloaded) return overloaded;
        if (e.code() == batching::errc::closed) return closed;
        if (e.code() == batching::errc::result_count_mismatch) return miscounted;
    } catch (const batching::detail::system_error& e) {
        if (e.code() == asio::error::operation_aborted) return aborted;
    } catch (const Thrown&) {
        return thrown;
    } catch (const Alone&) {
        return alone;
    } catch (...) {
    }
    return other;
}

std::vector<int> codes_of(const std::vector<batching::Result<int>>& results) {
    std::vector<int> codes;
    for (const auto& result : results) {
        codes.push_back(result.has_value() ? result.value() : code_of(result.error()));
    }
    return codes;
}

// How a batch ends.
enum class End { values, throws, miscounts, odd_ones_fail };

std::vector<batching::Result<int>> end_batch(End end, const std::vector<int>& ids) {
    if (end == End::throws) throw Thrown();
    std::vector<batching::Result<int>> results;
    for (const int id : ids) {
        if (end == End::odd_ones_fail && id % 2 == 1) {
            results.emplace_back(std::make_exception_ptr(Alone()));
        } else {
            results.emplace_back(2 * id);
        }
    }
    if (end == End::miscounts) results.emplace_back(0);
    return results;
}

// A coroutine that can be destroyed while it is suspended.
class Frame {
public:
    struct promise_type {
        Frame get_return_object() {
            return Frame(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { throw; }
    };
    Frame() = default;
    Frame(Frame&& from) noexcept : handle_(std::exchange(from.handle_, nullptr)) {}
    Frame& operator=(Frame&& from) noexcept {
        std::swap(handle_, from.handle_);
        return *this;
    }
    ~Frame() {
        if (handle_) handle_.destroy();
    }
    void destroy() {
        if (handle_) std::exchange(handle_, nullptr).destroy();
    }

private:
    explicit Frame(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
    std::coroutine_handle<promise_type> handle_;
};

// ---- callers, and what the model knows of them -------------------------------------------------------

struct Caller;

struct Part {
    enum State { waiting, running, over };
    int id;
    Caller* caller;
    bool flushed = false;
    Time queued_at{};
    State state = waiting;
    int code = 0;  // once over
};

struct Caller {
    int id = 0;
    enum Asks { one, many, each };
    Asks asks = one;
    bool drains = false;
    std::deque<Part> parts;
    std::optional<std::vector<int>> expected;  // set once it must have been resumed
    bool destroyed = false;
    bool away =
        false;  // resumes on the other context, as a handler does: its work keeps that alive

    std::optional<std::vector<int>> got;
    int resumed = 0;
    bool is_frame = false;
    Frame frame;
    asio::cancellation_signal signal;

    bool open() const { return !expected && !destroyed; }
    void done(std::vector<int> result) {
        ++resumed;
        got = std::move(result);
    }
    void fail(const std::exception_ptr& error) { done({code_of(error)}); }
};

Frame await_one(Batcher& batcher, int id, Caller& caller, asio::any_io_executor executor) {
    try {
        Ball ball(id);
        auto operation = batcher.process(std::move(ball));
        int value = 0;
        if (executor) {
            value = co_await std::move(operation).resume_on(executor);
        } else {
            value = co_await std::move(operation);
        }
        std::vector<int> result(1, value);
        caller.done(std::move(result));
    } catch (...) {
        caller.fail(std::current_exception());
    }
}

Frame await_many(Batcher& batcher, std::vector<Ball> balls, Caller& caller,
                 asio::any_io_executor executor) {
    try {
        auto operation = batcher.process_many(std::move(balls));
        std::vector<int> result;
        if (executor) {
            result = co_await std::move(operation).resume_on(executor);
        } else {
            result = co_await std::move(operation);
        }
        caller.done(std::move(result));
    } catch (...) {
        caller.fail(std::current_exception());
    }
}

Frame await_each(Batcher& batcher, std::vector<Ball> balls, Caller& caller,
                 asio::any_io_executor executor) {
    auto operation = batcher.process_each(std::move(balls));
    std::vector<batching::Result<int>> results;
    if (executor) {
        results = co_await std::move(operation).resume_on(executor);
    } else {
        results = co_await std::move(operation);
    }
    caller.done(codes_of(results));
}

Frame await_drain(Batcher& batcher, Caller& caller, asio::any_io_executor executor) {
    try {
        auto operation = batcher.drain();
        if (executor) {
            co_await std::move(operation).resume_on(executor);
        } else {
            co_await std::move(operation);
        }
        std::vector<int> nothing;
        caller.done(std::move(nothing));
    } catch (...) {
        caller.fail(std::current_exception());
    }
}

// ---- the world ---------------------------------------------------------------------------------------

class World {
public:
    explicit World(Random& random) : random_(random) {
        options_.max_batch_size = random.between(1, 5);
        options_.batch_timeout = random.one_in(5) ? batching::no_timeout
                                                  : std::chrono::nanoseconds(random.between(0, 10));
        options_.max_concurrent_batches = random.between(1, 3);
        if (random.one_in(3)) {
            const bool fills = options_.batch_timeout != batching::no_timeout;
            options_.max_queue_size = random.between(fills ? 1 : options_.max_batch_size, 8);
        }
        waits_ = !random.one_in(4);
        trace("max_batch_size {}, batch_timeout {}, slots {}, max_queue_size {}, {}",
              options_.max_batch_size, options_.batch_timeout.count(),
              options_.max_concurrent_batches, options_.max_queue_size,
              waits_ ? "asynchronous" : "synchronous");
        if (waits_) {
            batcher_.emplace(
                *context_, [this](std::vector<Ball> balls) { return run(std::move(balls)); },
                options_);
        } else {
            batcher_.emplace(
                *context_,
                [this](const std::vector<Ball>& balls) {
                    formed_.push_back(ids_of(balls));
                    return end_batch(End::values, formed_.back());
                },
                options_);
        }
        strand_ = asio::make_strand(*context_);
    }

    ~World() {  // after a failed check: nothing may be resumed any more
        for (Caller& caller : callers_) caller.frame.destroy();
        batcher_.reset();
        strand_ = {};
        context_.reset();
    }

    void play() {
        for (std::size_t steps = random_.between(1, 25); steps > 0; --steps) {
            for (std::size_t events = random_.between(1, 4); events > 0; --events) event();
            settle_and_check();
        }
        switch (random_.below(4)) {
            case 0:
                return end_by_drain();
            case 1:
                return end_by_destroying_the_batcher();
            case 2:
                return end_by_destroying_the_context();
            default:
                return end_by_cancelling();
        }
    }

private:
    using Batch = std::vector<Part*>;

    // ---- the batch function ----

    struct Running {  // what the test holds of a batch that runs
        std::vector<int> ids;
        asio::steady_timer go;
        End end = End::values;
    };

    static std::vector<int> ids_of(const std::vector<Ball>& balls) {
        std::vector<int> ids;
        for (const Ball& ball : balls) ids.push_back(*ball.id);
        return ids;
    }

    asio::awaitable<std::vector<batching::Result<int>>> run(std::vector<Ball> balls) {
        formed_.push_back(ids_of(balls));
        const auto running = std::make_shared<Running>(
            Running{formed_.back(),
                    asio::steady_timer(*context_, asio::steady_timer::time_point::max()),
                    {}});
        running_.push_back(running);
        batching::detail::error_code ignored;
        co_await running->go.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
        std::erase(running_, running);  // if it was cancelled
        co_return end_batch(running->end, running->ids);
    }

    // ---- events ----

    void event() {
        some_event();
        model_drain();
    }

    void some_event() {
        switch (random_.below(24)) {
            case 0:
                return flush();
            case 1:
                return random_.one_in(20) ? close() : flush();
            case 2:
                return random_.one_in(4) ? cancel_all() : signal();
            case 3:
            case 4:
                return signal();
            case 5:
            case 6:
                return destroy();
            case 7:
                return random_.one_in(20) ? drain() : destroy();
            case 8:
            case 9:
            case 10:
            case 11:
                return end_a_batch();
            case 12:
            case 13:
                return advance(random_.between(0, 4) * 1ns);
            case 14:
                return advance(random_.between(0, 12) * 1ns);
            case 15:
            case 16:
                return submit(random_.one_in(2) ? Caller::many : Caller::each);
            default:
                return submit(Caller::one);
        }
    }

    Caller& new_caller() {
        callers_.emplace_back();
        callers_.back().id = static_cast<int>(callers_.size());
        callers_.back().is_frame = random_.one_in(2);
        return callers_.back();
    }

    asio::any_io_executor some_executor(Caller& caller) {
        switch (random_.below(4)) {
            case 0:
                return context_->get_executor();
            case 1:
                return caller.is_frame ? asio::any_io_executor()
                                       : strand_;  // it may outlive the strand
            case 2:
                caller.away = !caller.is_frame;
                return elsewhere_.get_executor();
            default:
                return {};
        }
    }

    template <class Start>
    void start_handler(Caller& caller, const asio::any_io_executor& executor, Start initiate) {
        auto handler = [&caller](std::exception_ptr error, auto... result) {
            if (error) return caller.fail(error);
            if constexpr (sizeof...(result) == 0) {
                caller.done({});
            } else {
                (caller.done(as_vector(std::move(result))), ...);
            }
        };
        if (executor) {
            initiate(asio::bind_cancellation_slot(caller.signal.slot(),
                                                  asio::bind_executor(executor, handler)));
        } else {
            initiate(asio::bind_cancellation_slot(caller.signal.slot(), handler));
        }
    }
    static std::vector<int> as_vector(int value) { return std::vector<int>(1, value); }
    static std::vector<int> as_vector(std::vector<int> values) { return values; }
    static std::vector<int> as_vector(const std::vector<batching::Result<int>>& results) {
        return codes_of(results);
    }

    void submit(Caller::Asks asks) {
        Caller& caller = new_caller();
        caller.asks = asks;
        const std::size_t count = asks == Caller::one ? 1 : random_.below(8);
        for (std::size_t i = 0; i < count; ++i) caller.parts.push_back({++last_ball_, &caller});
        trace("{}: caller {} submits {} ({} to {})", now(), caller.id, count,
              last_ball_ + 1 - int(count), last_ball_);
        model_submit(caller);

        const auto executor = some_executor(caller);
        std::vector<Ball> balls;
        for (const Part& part : caller.parts) balls.emplace_back(part.id);
        if (caller.is_frame) {
            caller.frame =
                asks == Caller::one    ? await_one(*batcher_, caller.parts[0].id, caller, executor)
                : asks == Caller::many ? await_many(*batcher_, std::move(balls), caller, executor)
                                       : await_each(*batcher_, std::move(balls), caller, executor);
        } else if (asks == Caller::many) {
            start_handler(caller, executor, [&](auto handler) {
                batcher_->async_process_many(std::move(balls), std::move(handler));
            });
        } else if (asks == Caller::each) {
            start_handler(caller, executor, [&](auto handler) {
                batcher_->async_process_each(std::move(balls), std::move(handler));
            });
        } else {
            start_handler(caller, executor, [&](auto handler) {
                batcher_->async_process(std::move(balls[0]), std::move(handler));
            });
        }
    }

    void drain() {
        Caller& caller = new_caller();
        caller.drains = true;
        trace("caller {} drains", caller.id);
        closed_ = true;
        const auto executor = some_executor(caller);
        if (caller.is_frame) {
            caller.frame = await_drain(*batcher_, caller, executor);
        } else {
            start_handler(caller, executor,
                          [&](auto handler) { batcher_->async_drain(std::move(handler)); });
        }
    }

    void flush() {
        trace("flush");
        for (Part* part : queue_) part->flushed = true;
        batcher_->flush();
    }

    void close() {
        trace("close");
        closed_ = true;
        batcher_->close();
    }

    void cancel_all() {
        trace("cancel all");
        batcher_->cancel();
        model_cancel_all();
    }

    // Any of the callers with a slot, also of those who are done.
    void signal() {
        if (callers_.empty()) return;
        Caller& caller = random_.pick(callers_);
        if (caller.is_frame) return;
        using Type = asio::cancellation_type;
        const Type types[] = {Type::total, Type::partial, Type::terminal, Type::all, Type::none};
        const Type type = types[random_.below(5)];
        trace("signal {:x} to caller {}", static_cast<unsigned>(type), caller.id);
        model_signal(caller, type);
        caller.signal.emit(type);
    }

    // Any of the coroutines, also of those who are done or about to be resumed.
    void destroy() {
        if (callers_.empty()) return;
        Caller& caller = random_.pick(callers_);
        if (!caller.is_frame || caller.destroyed) return;
        trace("destroy caller {}", caller.id);
        if (!caller.resumed) {
            caller.destroyed = true;
            for (Part& part : caller.parts) model_cancel(part);
        }
        caller.frame.destroy();
    }

    void end_a_batch() {
        if (running_.empty()) return;
        const std::size_t i = random_.below(running_.size());
        running_[i]->end = static_cast<End>(random_.below(8) < 5 ? 0 : random_.between(1, 3));
        trace("batch {} ends", running_[i]->ids.front());
        ended_.push_back(running_[i]);
        running_[i]->go.cancel();
        running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
    }

    void advance(std::chrono::nanoseconds by) {
        ManualClock::advance(by);
        advanced_ = true;
    }

    static long long now() { return (ManualClock::now() - start).count(); }

    // ---- the model: the contract --------------------------------------------------------------------

    void model_submit(Caller& caller) {
        const std::size_t count = caller.parts.size();
        const std::size_t room =
            options_.max_queue_size - std::min(queue_.size(), options_.max_queue_size);
        const std::size_t fit = closed_ ? 0 : std::min(count, room);
        const std::size_t accepted = caller.asks == Caller::each || fit == count ? fit : 0;
        submitted_ += accepted;
        rejected_ += count - accepted;
        for (std::size_t i = 0; i < count; ++i) {
            Part& part = caller.parts[i];
            if (i < accepted) {
                part.queued_at = ManualClock::now();
                queue_.push_back(&part);
            } else {
                part.state = Part::over;
                part.code = closed_ ? closed : overloaded;
            }
        }
        if (accepted == 0) model_complete(caller);
    }

    void model_end(Part& part, int code) {
        if (part.state == Part::waiting)
            queue_.erase(std::find(queue_.begin(), queue_.end(), &part));
        part.state = Part::over;
        part.code = code;
        if (!part.caller->destroyed) model_complete(*part.caller);
    }

    // Unless some of its parts are not over yet.
    static void model_complete(Caller& caller) {
        std::vector<int> result;
        for (const Part& p : caller.parts) {
            if (p.state != Part::over) return;
            result.push_back(p.code);
        }
        const auto error = std::find_if(result.begin(), result.end(), [](int c) { return c < 0; });
        const bool one_error = caller.asks != Caller::each && error != result.end();
        caller.expected = one_error ? std::vector<int>(1, *error) : result;
    }

    void model_cancel(Part& part) {
        if (part.state == Part::over) return;
        ++cancelled_;
        model_end(part, aborted);
    }

    void model_cancel_all() {
        while (!queue_.empty()) model_cancel(*queue_.front());
    }

    void model_signal(Caller& caller, asio::cancellation_type type) {
        if (!caller.open()) return;
        const auto has = [&](asio::cancellation_type t) {
            return (type & t) != asio::cancellation_type::none;
        };
        using Type = asio::cancellation_type;
        const bool runs = std::any_of(caller.parts.begin(), caller.parts.end(),
                                      [](const Part& part) { return part.state != Part::waiting; });
        if (!has(Type::partial) && !has(Type::terminal) && (runs || !has(Type::total))) return;
        if (caller.drains) caller.expected.emplace(1, aborted);
        for (Part& part : caller.parts) model_cancel(part);
    }

    bool may_leave() const {
        if (queue_.empty()) return false;
        const Part& oldest = *queue_.front();
        return queue_.size() >= options_.max_batch_size || oldest.flushed || closed_ ||
               (options_.batch_timeout != batching::no_timeout &&
                ManualClock::now() - oldest.queued_at >= options_.batch_timeout);
    }

    static bool nobody_waits_for(const Batch& batch) {
        return std::all_of(batch.begin(), batch.end(),
                           [](const Part* part) { return part->state == Part::over; });
    }

    void model_settle() {
        for (const auto& ended : ended_) {
            const auto batch = std::find_if(batches_.begin(), batches_.end(), [&](const Batch& b) {
                return b.front()->id == ended->ids.front();
            });
            MUST(batch != batches_.end());
            model_finish(*batch, ended->end);
            batches_.erase(batch);
        }
        ended_.clear();
        std::erase_if(batches_, nobody_waits_for);  // they are cancelled
        while (batches_.size() < options_.max_concurrent_batches && may_leave()) {
            const bool flushed = queue_.front()->flushed || closed_;
            ++(queue_.size() >= options_.max_batch_size ? full_ : flushed ? flushed_ : timeout_);
            Batch batch;
            std::vector<int> ids;
            while (!queue_.empty() && batch.size() < options_.max_batch_size) {
                batch.push_back(queue_.front());
                ids.push_back(queue_.front()->id);
                queue_.front()->state = Part::running;
                queue_.pop_front();
            }
            expected_batches_.push_back(std::move(ids));
            if (waits_) {
                batches_.push_back(std::move(batch));
            } else {
                model_finish(batch, End::values);
            }
        }
        model_drain();
    }

    void model_drain() {
        if (!closed_ || !queue_.empty() || !batches_.empty()) return;
        for (Caller& caller : callers_) {
            if (caller.drains && caller.open()) caller.expected.emplace();
        }
    }

    void model_finish(const Batch& batch, End end) {
        for (Part* part : batch) {
            if (part->state != Part::running) continue;
            const int code = end == End::throws                               ? thrown
                             : end == End::miscounts                          ? miscounted
                             : end == End::odd_ones_fail && part->id % 2 == 1 ? alone
                                                                              : 2 * part->id;
            ++(code < 0 ? failed_ : completed_);
            model_end(*part, code);
        }
    }

    // ---- running, and comparing ----

    void settle() {
        if (context_ && std::exchange(advanced_, false)) ::settle(*context_);
        std::size_t handlers = 1;
        while (handlers > 0) {
            handlers = 0;
            elsewhere_.restart();
            handlers += elsewhere_.poll();
            if (!context_) continue;
            context_->restart();
            handlers += context_->poll();
        }
    }

    void settle_and_check() {
        settle();
        model_settle();
        check_batches();
        check_callers();
        if (batcher_) check_stats();
        check_what_keeps_alive();
    }

    void check_batches() {
        if (formed_ != expected_batches_) {
            for (const auto& ids : expected_batches_) trace("the model:   {}", fmt::join(ids, " "));
            for (const auto& ids : formed_) trace("the batcher: {}", fmt::join(ids, " "));
        }
        MUST(formed_ == expected_batches_);
        formed_.clear();
        expected_batches_.clear();
    }

    void check_callers() {
        for (Caller& caller : callers_) {
            if (caller.resumed != (caller.expected ? 1 : 0) || caller.got != caller.expected) {
                trace("caller {}: resumed {} times", caller.id, caller.resumed);
                if (caller.got) trace("got      {}", fmt::join(*caller.got, " "));
                if (caller.expected) trace("expected {}", fmt::join(*caller.expected, " "));
            }
            if (caller.destroyed) {
                MUST(caller.resumed == 0);
            } else if (caller.expected) {
                MUST(caller.resumed == 1);
                MUST(*caller.got == *caller.expected);
            } else {
                MUST(caller.resumed == 0);
            }
        }
    }

    std::size_t running() const {
        std::size_t n = 0;
        for (const Batch& batch : batches_) {
            for (const Part* part : batch) n += part->state == Part::running;
        }
        return n;
    }

    void check_stats() {
        const auto stats = batcher_->stats();
        MUST(stats.submitted == stats.completed + stats.failed + stats.cancelled + stats.expired +
                                    stats.waiting + stats.running);
        MUST(stats.submitted == submitted_);
        MUST(stats.completed == completed_);
        MUST(stats.failed == failed_);
        MUST(stats.rejected == rejected_);
        MUST(stats.cancelled == cancelled_);
        MUST(stats.waiting == queue_.size());
        MUST(stats.running == running());
        MUST(stats.batches_full == full_);
        MUST(stats.batches_timeout == timeout_);
        MUST(stats.batches_flushed == flushed_);
        MUST(stats.batch_size.count() == full_ + timeout_ + flushed_);
        MUST(stats.run_time.count() == full_ + timeout_ + flushed_ - batches_.size());
    }

    // A context's run() returns when it has nothing to do any more, and not before.
    void check_what_keeps_alive() {
        if (context_) {
            const bool drains =
                std::any_of(callers_.begin(), callers_.end(),
                            [](const Caller& caller) { return caller.drains && caller.open(); });
            if (!drains) MUST(context_->stopped() == (queue_.empty() && batches_.empty()));
        }
        MUST(elsewhere_.stopped() ==
             std::none_of(callers_.begin(), callers_.end(),
                          [](const Caller& caller) { return caller.away && caller.open(); }));
    }

    // ---- the end ----

    void end_all_batches() {
        while (!running_.empty() || !batches_.empty()) {
            while (!running_.empty()) end_a_batch();
            settle_and_check();
        }
    }

    void check_nobody_is_left() {
        for (const Caller& caller : callers_) MUST(!caller.open());
    }

    void end_by_drain() {
        trace("the end: drain");
        drain();
        settle_and_check();
        end_all_batches();
        check_nobody_is_left();
    }

    void end_by_cancelling() {
        trace("the end: cancel");
        cancel_all();
        settle_and_check();
        end_all_batches();
        for (const Caller& caller : callers_) MUST(caller.drains || !caller.open());
        drain();
        settle_and_check();
        check_nobody_is_left();
    }

    void end_by_destroying_the_batcher() {
        trace("the end: the batcher is destroyed");
        batcher_.reset();
        closed_ = true;
        model_cancel_all();
        settle_and_check();
        end_all_batches();
        check_nobody_is_left();
    }

    // What waits and runs is destroyed uncalled; coroutines are their owners'. Errors and results that are
    // already on their way to the other context still arrive.
    void end_by_destroying_the_context() {
        trace("the end: the context is destroyed");
        if (random_.one_in(2)) event();
        std::vector<int> resumed;
        for (const Caller& caller : callers_) resumed.push_back(caller.resumed);
        ended_.clear();
        running_.clear();
        strand_ = {};
        context_.reset();
        settle();
        for (std::size_t i = 0; i < callers_.size(); ++i) {
            const Caller& caller = callers_[i];
            if (i < resumed.size() && resumed[i] == 1) MUST(caller.resumed == 1);
            MUST(caller.resumed <= 1);
            if (caller.open() || caller.destroyed) MUST(caller.resumed == 0);
        }
        MUST(elsewhere_.stopped());
        if (random_.one_in(2)) batcher_.reset();
        for (Caller& caller : callers_) caller.frame.destroy();
    }

    inline static const Time start = ManualClock::now();

    Random& random_;
    batching::Options options_;
    bool waits_ = true;  // the batch function waits for end_a_batch()
    std::deque<Caller> callers_;
    std::vector<std::shared_ptr<Running>> running_, ended_;
    asio::io_context elsewhere_;
    std::optional<asio::io_context> context_{std::in_place};
    asio::any_io_executor strand_;
    std::optional<Batcher> batcher_;
    bool advanced_ = false;
    std::vector<std::vector<int>> formed_;
    int last_ball_ = 0;

    // The model:
    std::deque<Part*> queue_;
    std::vector<Batch> batches_;
    std::vector<std::vector<int>> expected_batches_;
    bool closed_ = false;
    std::size_t submitted_ = 0, completed_ = 0, failed_ = 0, rejected_ = 0, cancelled_ = 0;
    std::size_t full_ = 0, timeout_ = 0, flushed_ = 0;
};

TEST_CASE("the batcher follows the contract in random schedules", "[batcher][model]") {
    for_random_schedules(2000, [](std::uint64_t seed) {
        Random random(seed);
        World(random).play();
    });
}

// ---- what random schedules do not reach ----------------------------------------------------------------

std::vector<int> same(std::vector<int> batch) { return batch; }
using Numbers = batching::Batcher<int, int, ManualClock>;

Frame await_number(Numbers& batcher, asio::any_io_executor* executor, int& resumed) {
    const int number = co_await batcher.process(1).resume_on(*executor);
    resumed += number;
}
Frame await_drained(Numbers& batcher, int& resumed) {
    co_await batcher.drain();
    ++resumed;
}

// An operation that forgets its handler, as one does whose own context is destroyed.
struct Forget {
    void operator()(auto handler) const {
        [[maybe_unused]] const auto forgotten = std::move(handler);
    }
};
asio::awaitable<void> wait_for_nothing() {
    co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(Forget{},
                                                                          asio::use_awaitable);
}

TEST_CASE("a handler that throws leaves no timer behind that keeps the context alive",
          "[batcher]") {
    asio::io_context context;
    Numbers batcher(context, same, {.max_batch_size = 2, .batch_timeout = batching::no_timeout});
    batcher.async_process(1, [](const std::exception_ptr&, int) {});
    batcher.async_process(2, [](const std::exception_ptr&, int) { throw Thrown(); });
    CHECK_THROWS_AS(context.poll(), Thrown);
    settle(context);
    CHECK(context.stopped());
}

TEST_CASE(
    "an asynchronous batch function that is destroyed before its end fails its callers and frees "
    "its slot",
    "[batcher]") {
    asio::io_context context;
    bool forget = true;
    int completed = 0, drained = 0;
    Frame frame;
    {
        Numbers batcher(context,
                        [&](std::vector<int> batch) -> asio::awaitable<std::vector<int>> {
                            if (forget) co_await wait_for_nothing();
                            co_return batch;
                        },
                        {.max_batch_size = 1});
        batcher.async_process(
            1, [&](const std::exception_ptr& error, int) { completed += error ? 1 : 0; });
        settle(context);
        CHECK(completed == 1);
        CHECK(batcher.stats().failed + batcher.stats().cancelled == 1);
        forget = false;
        batcher.async_process(
            2, [&](const std::exception_ptr& error, int) { completed += error ? 0 : 1; });
        settle(context);
        CHECK(completed == 2);
        frame = await_drained(batcher, drained);
        settle(context);
        CHECK(drained == 1);
    }
    settle(context);
    CHECK(completed == 2);
    frame
        .destroy();  // a drain that is still pending refers to an engine that is gone: heap-use-after-free
}

TEST_CASE("after close() a call fails with errc::closed also while the queue is full",
          "[batcher]") {
    asio::io_context context;
    Numbers batcher(context, same, {.max_queue_size = 1});
    int code = 0;
    batcher.async_process(1, [](const std::exception_ptr&, int) {});
    batcher.close();
    batcher.async_process(2, [&](const std::exception_ptr& error, int) { code = code_of(error); });
    settle(context);
    CHECK(code == closed);
}

TEST_CASE("a coroutine that was to resume on a strand can be destroyed after the context",
          "[batcher]") {
    std::optional<asio::io_context> context(std::in_place);
    Numbers batcher(*context, same);
    int resumed = 0;
    asio::any_io_executor strand = asio::make_strand(*context);
    Frame frame = await_number(batcher, &strand, resumed);
    strand = {};
    context.reset();
    frame.destroy();  // ~strand in the awaiter: heap-use-after-free
    CHECK(resumed == 0);
}

TEST_CASE("the context of the callers can be destroyed before the batcher", "[batcher]") {
    batching::Batcher<int, int> batcher(same, {.batch_timeout = batching::no_timeout});
    int resumed = 0;
    {
        asio::io_context callers;
        asio::co_spawn(
            callers,
            [](batching::Batcher<int, int>& b, int& n) -> asio::awaitable<void> {
                n += co_await b.process(1);
            }(batcher, resumed),
            asio::detached);
        callers.poll();
    }
    batcher.cancel();  // posts to the context that is gone: stack-use-after-scope
    CHECK(resumed == 0);
}

TEST_CASE("a call waits batch_timeout also when the callers resumed with it took their time",
          "[batcher]") {
    asio::io_context context;
    int batches = 0;
    Numbers batcher(context,
                    [&](std::vector<int> batch) {
                        ++batches;
                        return batch;
                    },
                    {.max_batch_size = 2, .batch_timeout = 10ms});
    const auto ignore = [] { return [](const std::exception_ptr&, int) {}; };
    batcher.async_process(
        1, [&](const std::exception_ptr&, int) { batcher.async_process(3, ignore()); });
    batcher.async_process(2, [&](const std::exception_ptr&, int) {
        batcher.cancel();  // 3 no longer waits
        ManualClock::advance(20ms);
        batcher.async_process(4, ignore());
    });
    settle(context);
    CHECK(batches == 1);  // 4 was queued this instant
    ManualClock::advance(10ms);
    settle(context);
    CHECK(batches == 2);
}

}  // namespace batcher_model_test

// What the tests of the Batcher share: coroutine types of their own, an executor that tells who posted
// what where, batch functions that say what they were called with.
#pragma once

#include "manual_clock.hpp"

#include <atomic>
#include <batcher.hpp>
#include <chrono>
#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#if defined(BATCHER_USE_BOOST_ASIO)
#include <boost/asio.hpp>
#if __has_include(<boost/asio/deferred.hpp>)
#define BATCHER_TEST_DEFERRED boost::asio::deferred
#else
#include <boost/asio/experimental/deferred.hpp>
#define BATCHER_TEST_DEFERRED boost::asio::experimental::deferred
#endif
#else
#include <asio.hpp>
#if __has_include(<asio/deferred.hpp>)
#define BATCHER_TEST_DEFERRED asio::deferred
#else
#include <asio/experimental/deferred.hpp>
#define BATCHER_TEST_DEFERRED asio::experimental::deferred
#endif
#endif

namespace test {

namespace aio = batching::asio;
using namespace std::chrono_literals;
inline constexpr auto& deferred = BATCHER_TEST_DEFERRED;  // older Asio has it as experimental

// ---- coroutines --------------------------------------------------------------------------------------

// A coroutine that starts at once and destroys itself at its end.
struct Detached {
    struct promise_type {
        Detached get_return_object() noexcept { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() noexcept {}
        void unhandled_exception() { throw; }
    };
};

// A coroutine that starts at once and is destroyed by whoever holds it, suspended or done.
class Owned {
public:
    struct promise_type {
        Owned get_return_object() noexcept {
            return Owned(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        void return_void() noexcept {}
        void unhandled_exception() noexcept { std::terminate(); }
    };
    explicit Owned(std::coroutine_handle<promise_type> handle) noexcept : handle_(handle) {}
    Owned(Owned&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Owned& operator=(Owned&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~Owned() { destroy(); }
    void destroy() noexcept {
        if (handle_) std::exchange(handle_, nullptr).destroy();
    }

private:
    std::coroutine_handle<promise_type> handle_;
};

// ---- what became of a call ---------------------------------------------------------------------------

template <class Out>
struct Reply {
    int times = 0;  // the call completed
    std::optional<Out> value;
    std::exception_ptr error;

    void set(Out v) {
        ++times;
        value.emplace(std::move(v));
    }
    void fail(std::exception_ptr e) {
        ++times;
        error = std::move(e);
    }
    bool pending() const { return times == 0; }

    // The sentence of the error; empty if there is none.
    std::string sentence() const {
        try {
            if (error) std::rethrow_exception(error);
        } catch (const std::exception& e) {
            return e.what();
        } catch (...) {
            return "not a std::exception";
        }
        return {};
    }
    template <class Code>
    bool failed_with(Code code) const {
        try {
            if (error) std::rethrow_exception(error);
        } catch (const std::system_error& e) {
            if constexpr (requires { e.code() == code; }) return e.code() == code;
#if defined(BATCHER_USE_BOOST_ASIO)
        } catch (const boost::system::system_error& e) {
            if constexpr (requires { e.code() == code; }) return e.code() == code;
#endif
        } catch (...) {
            return false;
        }
        return false;
    }
    bool aborted() const { return failed_with(aio::error::operation_aborted); }
};

// Calls process(item) from a coroutine of no particular framework.
template <class In, class Out, class Clock>
Detached call(batching::Batcher<In, Out, Clock>& batcher, In item, Reply<Out>& reply) {
    try {
        auto operation = batcher.process(std::move(item));
        reply.set(co_await std::move(operation));
    } catch (...) {
        reply.fail(std::current_exception());
    }
}
template <class In, class Out, class Clock>
Owned owned_call(batching::Batcher<In, Out, Clock>& batcher, In item, Reply<Out>& reply) {
    try {
        auto operation = batcher.process(std::move(item));
        reply.set(co_await std::move(operation));
    } catch (...) {
        reply.fail(std::current_exception());
    }
}

// A completion handler that fills in a Reply.
template <class Out>
auto into(Reply<Out>& reply) {
    return [&reply](std::exception_ptr error, Out value) {
        if (error) {
            reply.fail(error);
        } else {
            reply.set(std::move(value));
        }
    };
}

// ---- executors ---------------------------------------------------------------------------------------

// Counts what was posted through a Tracked executor and its copies, and knows what is running through it.
struct Track {
    std::atomic<int> posts{0};
    inline static thread_local const Track* running = nullptr;

    bool here() const noexcept { return running == this; }
    long copies() const noexcept { return token.use_count() - 1; }

    std::shared_ptr<int> token = std::make_shared<int>();  // each copy has one
};

// An executor that does what another does, and keeps a Track of it.
template <class Inner>
class Tracked {
public:
    Tracked(Inner inner, Track& track) noexcept : inner_(std::move(inner)), track_(&track) {}

    template <class Property>
        requires aio::can_query_v<const Inner&, Property>
    decltype(auto) query(const Property& property) const {
        return aio::query(inner_, property);
    }
    template <class Property>
        requires aio::can_require_v<const Inner&, Property>
    auto require(const Property& property) const {
        auto inner = aio::require(inner_, property);
        return Tracked<decltype(inner)>(std::move(inner), *track_);
    }
    template <class Property>
        requires aio::can_prefer_v<const Inner&, Property>
    auto prefer(const Property& property) const {
        auto inner = aio::prefer(inner_, property);
        return Tracked<decltype(inner)>(std::move(inner), *track_);
    }

    template <class Function>
    void execute(Function function) const {
        ++track_->posts;
        aio::post(inner_, [track = track_, function = std::move(function)]() mutable {
            const Track* outer = std::exchange(Track::running, track);
            try {
                function();
            } catch (...) {
                Track::running = outer;
                throw;
            }
            Track::running = outer;
        });
    }

    friend bool operator==(const Tracked& a, const Tracked& b) noexcept {
        return a.inner_ == b.inner_ && a.track_ == b.track_;
    }
    friend bool operator!=(const Tracked& a, const Tracked& b) noexcept { return !(a == b); }

private:
    Inner inner_;
    Track* track_;
    std::shared_ptr<int> token_ = track_->token;
};

inline auto tracked(aio::io_context& context, Track& track) {
    return Tracked<aio::io_context::executor_type>(context.get_executor(), track);
}

// ---- batch functions ---------------------------------------------------------------------------------

// Doubles its items and remembers its batches.
struct Batches {
    std::vector<std::vector<int>> seen;

    auto doubling() {
        return [this](std::vector<int> items) {
            seen.push_back(items);
            for (int& item : items) item *= 2;
            return items;
        };
    }
};

// A function of an asynchronous Batcher that answers when the test says so.
class Gate {
public:
    explicit Gate(aio::io_context& context)
        : timer_(context, std::chrono::steady_clock::time_point::max()) {}

    auto doubling() {
        return [this](std::vector<int> items) -> aio::awaitable<std::vector<int>> {
            started.push_back(items);
            co_await wait();
            for (int& item : items) item *= 2;
            co_return items;
        };
    }
    void open() {
        open_ = true;
        timer_.cancel();
    }

    std::vector<std::vector<int>> started;

private:
    aio::awaitable<void> wait() {
        if (open_) co_return;
        batching::detail::error_code ignored;
        co_await timer_.async_wait(aio::redirect_error(aio::use_awaitable, ignored));
    }

    aio::steady_timer timer_;
    bool open_ = false;
};

}  // namespace test

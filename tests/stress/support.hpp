// What the stress programs share: how long they run, what they check, and coroutines of their own.
//
// Each program is bounded in time (BATCHER_STRESS_SECONDS, 5 by default), prints what it did and returns 0
// if all that was checked held. They are meant for ThreadSanitizer and AddressSanitizer.
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <batcher.hpp>
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <functional>
#include <future>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#if defined(BATCHER_USE_BOOST_ASIO)
#include <boost/asio.hpp>
#else
#include <asio.hpp>
#endif

// libstdc++.so counts the references of an exception_ptr where ThreadSanitizer does not see it, so that it
// takes the last release for a race with what another thread read before it let go.
extern "C" const char* __tsan_default_suppressions();  // not inline: it replaces a weak symbol
extern "C" const char* __tsan_default_suppressions() {
    return "race:std::__exception_ptr::exception_ptr::_M_release\n";
}

namespace stress {

namespace asio = batching::asio;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

inline std::chrono::milliseconds duration() {
    const char* seconds = std::getenv("BATCHER_STRESS_SECONDS");
    return std::chrono::milliseconds(seconds != nullptr ? std::atol(seconds) * 1000 : 5000);
}

inline std::atomic<int> failures{0};

// Counts a check that did not hold, and says so the first few times.
inline void check(bool holds, const char* what) {
    if (!holds && failures++ < 10) fmt::print(stderr, "FAILED: {}\n", what);
}

inline int result() {
    if (failures > 0) fmt::print(stderr, "{} checks failed\n", failures.load());
    return failures > 0 ? 1 : 0;
}

// A program that waits for ever fails, too.
class Watchdog {
public:
    explicit Watchdog(std::chrono::seconds limit)
        : thread_([limit, done = done_.get_future()] {
              if (done.wait_for(limit) != std::future_status::timeout) return;
              fmt::print(stderr, "FAILED: still not done after {} s\n", limit.count());
              std::_Exit(1);
          }) {}
    ~Watchdog() {
        done_.set_value();
        thread_.join();
    }

private:
    std::promise<void> done_;
    std::thread thread_;
};

inline std::mt19937& random() {
    static std::atomic<unsigned> seed{1};
    thread_local std::mt19937 engine(seed++);
    return engine;
}
inline std::size_t below(std::size_t n) { return random()() % n; }

inline void pause(std::size_t up_to_us) {
    const std::size_t us = below(up_to_us + 1);
    if (us > 0) std::this_thread::sleep_for(std::chrono::microseconds(us));
}

// Threads that run one context until they are told to stop.
template <class Context = asio::io_context>
class Threads {
public:
    Threads(Context& context, std::size_t n) : work_(context.get_executor()) {
        while (threads_.size() < n) threads_.emplace_back([&context] { context.run(); });
    }
    ~Threads() { join(); }
    void join() {
        work_.reset();
        for (auto& thread : threads_) thread.join();
        threads_.clear();
    }

private:
    asio::executor_work_guard<typename Context::executor_type> work_;
    std::vector<std::thread> threads_;
};

// A coroutine that starts at once and is destroyed by whoever holds it, also while it is suspended.
class Frame {
public:
    struct promise_type {
        Frame get_return_object() {
            return Frame(std::coroutine_handle<promise_type>::from_promise(*this));
        }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        void return_void() noexcept {}
        void unhandled_exception() noexcept { std::terminate(); }
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

private:
    explicit Frame(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
    std::coroutine_handle<promise_type> handle_;
};

// A coroutine that starts at once and destroys itself at its end.
struct Detached {
    struct promise_type {
        Detached get_return_object() noexcept { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() noexcept {}
        void unhandled_exception() noexcept { std::terminate(); }
    };
};

inline bool is_aborted(const std::exception_ptr& error) {
    try {
        if (error) std::rethrow_exception(error);
    } catch (const batching::detail::system_error& e) {
        return e.code() == asio::error::operation_aborted;
    } catch (...) {
    }
    return false;
}

inline bool is(const std::exception_ptr& error, batching::errc code) {
    try {
        if (error) std::rethrow_exception(error);
    } catch (const batching::Error& e) {
        return e.code() == code;
    } catch (...) {
    }
    return false;
}

inline void check_sum(const batching::Stats& s) {
    check(s.submitted == s.completed + s.failed + s.cancelled + s.expired + s.waiting + s.running,
          "stats(): submitted is the sum of the others");
}

}  // namespace stress

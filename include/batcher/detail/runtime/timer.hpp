// Timer: the clock and the one timer of an engine.
//
// It is lazy: it is left alone as long as it goes off early enough, and goes off once too often rather
// than being set again for each batch, as setting one costs a system call.
#pragma once

#include <batcher/detail/asio.hpp>
#include <batcher/detail/core/call.hpp>
#include <batcher/detail/runtime/burst_clock.hpp>
#include <batcher/detail/runtime/patience.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

namespace batching::detail {

class Engine;

// What the timer calls.
struct Alarm {
    std::shared_ptr<Engine> engine;
    Time at;
    void operator()(const error_code& error) const;
};

// Under the engine's lock, but for now().
class Timer {
public:
    virtual ~Timer() = default;
    virtual Time now() const noexcept = 0;
    // Calls `alarm` on the executor at `at`, or earlier.
    virtual void arm(Time at, std::shared_ptr<Engine> engine) noexcept = 0;
    // It has gone off.
    virtual void expired(Time at) noexcept = 0;
    // An armed timer keeps a context's run() from returning.
    virtual void cancel() noexcept = 0;
    // Its context goes.
    virtual void destroy() noexcept = 0;
};

template <class Clock>
class LazyTimer final : public Timer {
public:
    explicit LazyTimer(const asio::any_io_executor& executor) : timer_(std::in_place, executor) {}

    Time now() const noexcept override { return time_of<Clock>(Clock::now()); }

    void arm(Time at, std::shared_ptr<Engine> engine) noexcept override {
        if (!timer_ || (armed_for_ && *armed_for_ <= at)) return;
        using Duration = typename Clock::duration;
        using Point = typename Clock::time_point;
        armed_for_ = at;
        const Point point(at == (Time::max)() ? (Duration::max)()
                                              : std::chrono::ceil<Duration>(at));
        with_patience([&] {
            timer_->expires_at(point);
            timer_->async_wait(Alarm{engine, at});
        });
    }

    void expired(Time at) noexcept override {
        if (armed_for_ == at) armed_for_.reset();
    }

    void cancel() noexcept override {
        if (armed_for_ && timer_) timer_->cancel();
        armed_for_.reset();
    }

    void destroy() noexcept override { timer_.reset(); }

private:
    std::optional<
        asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, asio::any_io_executor>>
        timer_;
    std::optional<Time> armed_for_;
};

}  // namespace batching::detail

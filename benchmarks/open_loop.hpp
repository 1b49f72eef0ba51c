// Open loops: items come at their own times, however long the earlier ones take, as in a server.
//
// A latency counts from the time the item was to come. So what delays the generator, as a batcher that
// keeps the thread busy, is part of it.
#pragma once

#include <asio.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <load.hpp>
#include <measure.hpp>
#include <utility>
#include <vector>

namespace bench {

// Calls `issue(i, due)` for the i-th item when it is due, on the io_context.
class Generator {
public:
    using Issue = std::function<void(std::size_t, Clock::time_point)>;

    Generator(asio::io_context& context, double items_per_second, std::size_t items, Issue issue)
        : timer_(context),
          interval_(1e9 / items_per_second),
          items_(items),
          issue_(std::move(issue)),
          start_(Clock::now() + std::chrono::milliseconds(1)) {
        next();
    }

    void stop() { issued_ = items_; }

private:
    Clock::time_point due() const {
        return start_ +
               Nanoseconds(static_cast<std::int64_t>(interval_ * static_cast<double>(issued_)));
    }

    void next() {
        if (issued_ == items_) return;
        timer_.expires_at(due());
        timer_.async_wait([this](auto error) {
            if (error) return;
            const auto now = Clock::now();
            while (issued_ < items_ && due() <= now) {
                const auto when = due();
                issue_(issued_++, when);
            }
            next();
        });
    }

    asio::steady_timer timer_;
    double interval_;
    std::size_t items_;
    Issue issue_;
    Clock::time_point start_;
    std::size_t issued_ = 0;
};

// The latencies of some items, and what to do when all are there.
class Latencies {
public:
    Latencies(std::size_t expected, std::function<void()> all_there)
        : expected_(expected), all_there_(std::move(all_there)) {
        nanoseconds_.reserve(expected);
    }

    void record(Clock::time_point from, Clock::time_point to) {
        nanoseconds_.push_back(nanoseconds_between(from, to));
        if (nanoseconds_.size() == expected_) all_there_();
    }

    bool complete() const { return nanoseconds_.size() >= expected_; }

    // p50, p99 and p99.9, in microseconds, less `expected` ones.
    std::vector<double> quantiles(Nanoseconds expected = Nanoseconds(0)) {
        std::vector<double> result;
        for (const double q : {0.5, 0.99, 0.999}) {
            result.push_back((quantile(nanoseconds_, q) - static_cast<double>(expected.count())) /
                             1e3);
        }
        return result;
    }

private:
    std::size_t expected_;
    std::function<void()> all_there_;
    std::vector<double> nanoseconds_;
};

inline const std::vector<Metric>& latency_metrics() {
    static const std::vector<Metric> metrics{{"p50", "us"}, {"p99", "us"}, {"p99.9", "us"}};
    return metrics;
}

// ---- those who call -----------------------------------------------------------------------------------

template <class Batcher>
Task call_once(Batcher& batcher, Latencies& latencies, int x, Clock::time_point due) {
    const int y = co_await batcher.process(x);
    check_result(x, y);
    latencies.record(due, Clock::now());
}

template <class Batcher>
asio::awaitable<void> call_once_in_awaitable(Batcher& batcher, Latencies& latencies, int x,
                                             Clock::time_point due) {
    const int y = co_await batcher.process(x);
    check_result(x, y);
    latencies.record(due, Clock::now());
}

// One caller that calls again and again.
template <class Batcher>
Task call_alone(Batcher& batcher, Latencies& latencies) {
    for (int x = 0; !latencies.complete(); ++x) {
        const auto start = Clock::now();
        const int y = co_await batcher.process(x);
        check_result(x, y);
        latencies.record(start, Clock::now());
    }
}

template <class Batcher>
asio::awaitable<void> call_alone_in_awaitable(Batcher& batcher, Latencies& latencies) {
    for (int x = 0; !latencies.complete(); ++x) {
        const auto start = Clock::now();
        const int y = co_await batcher.process(x);
        check_result(x, y);
        latencies.record(start, Clock::now());
    }
}

struct OncePlain {
    template <class Batcher>
    static void one(asio::io_context&, Batcher& batcher, Latencies& latencies, int x,
                    Clock::time_point due) {
        call_once(batcher, latencies, x, due);
    }
    template <class Batcher>
    static void alone(asio::io_context& context, Batcher& batcher, Latencies& latencies) {
        asio::post(context, [&] { call_alone(batcher, latencies); });
    }
};
struct OnceAwaitable {
    template <class Batcher>
    static void one(asio::io_context& context, Batcher& batcher, Latencies& latencies, int x,
                    Clock::time_point due) {
        asio::co_spawn(context, call_once_in_awaitable(batcher, latencies, x, due), asio::detached);
    }
    template <class Batcher>
    static void alone(asio::io_context& context, Batcher& batcher, Latencies& latencies) {
        asio::co_spawn(context, call_alone_in_awaitable(batcher, latencies), asio::detached);
    }
};

}  // namespace bench

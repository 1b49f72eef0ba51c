// What the examples with a database share: a load of calls, a table of how long they took, and calls
// typed by hand. The ways to do the same thing take turns, a few times each, so that what else the
// machine does meets all of them.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <asio.hpp>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <iostream>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace load {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

// A way to do something, either of the two. What it throws counts as a failure.
struct Mode {
    std::string name;
    bool batched = false;
    // For coroutines. The numbers of all calls of a Bench are different.
    std::function<asio::awaitable<void>(std::size_t number)> call = {};
    // For threads, as many as there are functions: each has its own, which blocks.
    std::vector<std::function<void(std::size_t number)>> threads = {};
};

// What was measured of a Mode.
struct Figures {
    std::vector<double> milliseconds;  // of each call
    std::size_t failed = 0;
    double seconds = 0;

    double a_second() const { return static_cast<double>(milliseconds.size()) / seconds; }
    double percentile(std::size_t percent) {
        if (milliseconds.empty()) return 0;
        const auto place = milliseconds.begin() +
                           static_cast<std::ptrdiff_t>((milliseconds.size() - 1) * percent / 100);
        std::nth_element(milliseconds.begin(), place, milliseconds.end());
        return *place;
    }
};

// Measures, and prints. The coroutines run on the context, in the thread that calls.
class Bench {
public:
    // Each table gives each of its modes so much time.
    Bench(asio::io_context& context, Seconds seconds)
        : context_(context), slice_(seconds / rounds) {}

    // Each of so many callers calls again as soon as it is answered.
    void closed(std::size_t callers, const std::vector<Mode>& modes) {
        compare(callers == 1 ? "a lone caller" : fmt::format("{} callers", callers), modes,
                [&](const Mode& mode, Figures& figures) {
                    const auto end = Clock::now() + slice();
                    const auto due = [] { return Clock::now(); };
                    const auto over = [&](Clock::time_point at) { return at >= end; };
                    if (!mode.threads.empty()) return in_threads(mode, figures, callers, due, over);
                    for (std::size_t i = 0; i < callers; ++i) start(calls(mode, figures, end));
                });
    }

    // So many calls come in a second, whether earlier ones are answered or not. What waits for a
    // thread waits from the time at which it came.
    void open(std::size_t rate, const std::vector<Mode>& modes) {
        compare(fmt::format("{} calls a second", rate), modes,
                [&](const Mode& mode, Figures& figures) {
                    const auto begin = Clock::now();
                    const auto end = begin + slice();
                    const auto pause = std::chrono::nanoseconds(1'000'000'000 / rate);
                    std::atomic<int> arrived = 0;
                    const auto due = [&] { return begin + pause * arrived++; };
                    const auto over = [&](Clock::time_point at) { return at >= end; };
                    if (!mode.threads.empty())
                        return in_threads(mode, figures, mode.threads.size(), due, over);
                    start(arrivals(mode, figures, begin, end, pause));
                });
    }

private:
    static constexpr int rounds = 3;

    Clock::duration slice() const { return std::chrono::duration_cast<Clock::duration>(slice_); }

    template <class Run>
    void compare(const std::string& title, const std::vector<Mode>& modes, Run run) {
        std::vector<Figures> all(modes.size());
        for (int round = 0; round < rounds; ++round) {
            for (std::size_t i = 0; i < modes.size(); ++i) {
                const auto begin = Clock::now();
                run(modes[i], all[i]);
                context_.restart();
                context_.run();
                all[i].seconds += Seconds(Clock::now() - begin).count();
            }
        }
        print(title, modes, all);
    }

    // The gain is over the best of those that are not batched.
    static void print(const std::string& title, const std::vector<Mode>& modes,
                      std::vector<Figures>& all) {
        double best = 0;
        for (std::size_t i = 0; i < modes.size(); ++i) {
            if (!modes[i].batched) best = std::max(best, all[i].a_second());
        }
        fmt::print("\n{:<44} {:>8} {:>6} {:>9} {:>9} {:>8}\n", title, "calls/s", "gain", "p50, ms",
                   "p99, ms", "failed");
        for (std::size_t i = 0; i < modes.size(); ++i) {
            Figures& figures = all[i];
            fmt::print("{:<44} {:>8.0f} {:>6.1f} {:>9.2f} {:>9.2f} {:>8}\n", modes[i].name,
                       figures.a_second(), figures.a_second() / best, figures.percentile(50),
                       figures.percentile(99), figures.failed);
        }
        std::fflush(stdout);
    }

    void start(asio::awaitable<void> coroutine) {
        asio::co_spawn(context_, std::move(coroutine), [](std::exception_ptr error) {
            if (error) std::rethrow_exception(error);
        });
    }

    asio::awaitable<void> call(const Mode& mode, Figures& figures, Clock::time_point due) {
        try {
            co_await mode.call(next_++);
        } catch (const std::exception&) {
            ++figures.failed;
        }
        record(figures, due);
    }

    asio::awaitable<void> calls(const Mode& mode, Figures& figures, Clock::time_point end) {
        for (auto now = Clock::now(); now < end; now = Clock::now()) {
            co_await call(mode, figures, now);
        }
    }

    asio::awaitable<void> arrivals(const Mode& mode, Figures& figures, Clock::time_point due,
                                   Clock::time_point end, Clock::duration pause) {
        asio::steady_timer timer(context_);
        for (; due < end; due += pause) {
            timer.expires_at(due);
            co_await timer.async_wait(asio::use_awaitable);
            start(call(mode, figures, due));
        }
    }

    template <class Due, class Over>
    void in_threads(const Mode& mode, Figures& figures, std::size_t callers, Due due, Over over) {
        std::vector<Figures> parts(std::min(callers, mode.threads.size()));
        std::vector<std::thread> threads;
        for (std::size_t i = 0; i < parts.size(); ++i) {
            threads.emplace_back([&, i] {
                for (Clock::time_point at = due(); !over(at); at = due()) {
                    std::this_thread::sleep_until(at);
                    try {
                        mode.threads[i](next_++);
                    } catch (const std::exception&) {
                        ++parts[i].failed;
                    }
                    record(parts[i], at);
                }
            });
        }
        for (std::thread& thread : threads) thread.join();
        for (const Figures& part : parts) {
            figures.failed += part.failed;
            figures.milliseconds.insert(figures.milliseconds.end(), part.milliseconds.begin(),
                                        part.milliseconds.end());
        }
    }

    static void record(Figures& figures, Clock::time_point due) {
        figures.milliseconds.push_back(Seconds(Clock::now() - due).count() * 1000);
    }

    asio::io_context& context_;
    const Seconds slice_;
    std::atomic<std::size_t> next_ = 1;
};

// What the disk of this path takes to make a page of 4 KiB durable: the median of 50, in ms.
inline double fsync_milliseconds(std::string path) {
    path += "-fsync-XXXXXX";
    const int file = mkstemp(path.data());
    if (file < 0) throw std::system_error(errno, std::system_category(), path);
    unlink(path.c_str());
    const std::string page(4096, 'x');
    Figures figures;
    for (int i = 0; i < 50; ++i) {
        const auto begin = Clock::now();
        if (write(file, page.data(), page.size()) < 0 || fsync(file) < 0)
            throw std::system_error(errno, std::system_category(), path);
        figures.milliseconds.push_back(Seconds(Clock::now() - begin).count() * 1000);
    }
    close(file);
    return figures.percentile(50);
}

// Each line of the standard input is a call, and what it returns is printed. Returns when the input
// has ended and all is answered.
inline void answer_lines(asio::io_context& context,
                         std::function<asio::awaitable<std::string>(std::string line)> call) {
    const auto answer = [&call](std::string line) -> asio::awaitable<void> {
        try {
            fmt::print("{}\n", co_await call(line));
        } catch (const std::exception& error) {
            fmt::print("{}: {}\n", line, error.what());
        }
        std::fflush(stdout);
    };
    auto work = asio::make_work_guard(context);
    std::thread reader([&] {
        for (std::string line; std::getline(std::cin, line);) {
            asio::co_spawn(context, answer(line), asio::detached);
        }
        work.reset();
    });
    context.run();
    reader.join();
}

// main() of an example: measure(where, seconds), or, if the second argument is -, answer(where).
inline int run(int argc, char** argv, const char* name, const char* where,
               void (*measure)(const std::string& where, Seconds),
               void (*answer)(const std::string& where)) {
    const std::string second = argc > 2 ? argv[2] : "1";
    char* end = nullptr;
    const double seconds = std::strtod(second.c_str(), &end);
    const bool measures = *end == '\0' && seconds >= 0.01 && seconds <= 3600;
    if (argc < 2 || argc > 3 || !(measures || second == "-")) {
        fmt::print(stderr,
                   "{0} takes {1}, and a number of seconds, from 0.01 to 3600, or -.\nusage: {0} "
                   "{1} [SECONDS | -]\n",
                   name, where);
        return 2;
    }
    try {
        measures ? measure(argv[1], Seconds(seconds)) : answer(argv[1]);
        return EXIT_SUCCESS;
    } catch (const std::exception& error) {
        fmt::print(stderr, "{}: {}\n", name, error.what());
        return EXIT_FAILURE;
    }
}

}  // namespace load

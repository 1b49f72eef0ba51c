// View: what the Batchers at an address do, as lines of text: those of a title, and indented ones.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <batcher/grpc.hpp>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

class View {
public:
    View(const std::string& address, std::string name, std::optional<batching::grpc::Tls> tls)
        : reader_(address,
                  {.timeout = std::chrono::seconds(5), .token = token(), .tls = std::move(tls)}),
          name_(std::move(name)) {}

    // Counts of all time at first; then those since the look before, and the diagnosis of the last minute.
    std::string look() {
        std::string lines;
        for (const auto& [name, diagnosis, stats] : reader_.read()) {
            if (!name_.empty() && name != name_) continue;
            auto& looks = looks_[name];
            if (!looks.empty() && stats.submitted < looks.back().stats.submitted) looks.clear();
            const Look now{stats, Clock::now()};
            if (looks.empty()) {
                lines += lines_of(name, stats, Seconds(0)) + in_lines(diagnosis);
            } else {
                const auto& [before, at] = looks.back();
                lines += lines_of(name, stats.since(before), now.at - at) +
                         in_lines(batching::diagnosis(stats.since(looks.front().stats)));
            }
            looks.push_back(now);
            if (looks.size() > 60) looks.pop_front();
        }
        if (!lines.empty()) return lines;
        throw std::runtime_error(fmt::format("no Batcher \"{}\" is deployed there", name_));
    }

private:
    using Clock = std::chrono::steady_clock;
    using Seconds = std::chrono::duration<double>;
    struct Look {
        batching::Stats stats;
        Clock::time_point at;
    };

    static std::string token() {
        const char* const token = std::getenv("BATCHER_TOKEN");
        return token == nullptr ? "" : token;
    }

    // `s`: of an interval, whose counts are shown per second; or, if that is 0, of all time.
    static std::string lines_of(const std::string& name, const batching::Stats& s,
                                Seconds interval) {
        const auto count = [&](const char* what, std::uint64_t times) {
            if (interval == Seconds(0)) return fmt::format("  {} {}", what, times);
            return fmt::format("  {} {:.0f}/s", what,
                               static_cast<double>(times) / interval.count());
        };
        return fmt::format("{}\n  calls  ", name) + count("submitted", s.submitted) +
               count("completed", s.completed) + count("failed", s.failed) +
               count("rejected", s.rejected) + count("cancelled", s.cancelled) +
               count("expired", s.expired) +
               fmt::format("\n  now      waiting {}  running {}\n", s.waiting, s.running) +
               times("wait", s.wait_time) + times("run", s.run_time) + "  batches" +
               count("full", s.batches_full) + count("timeout", s.batches_timeout) +
               count("flushed", s.batches_flushed) + bars(s.batch_size);
    }

    static std::string times(const char* what,
                             const batching::Distribution<std::chrono::nanoseconds>& times) {
        const auto us = [&](double q) {
            return static_cast<double>(times.quantile(q).count()) / 1e3;
        };
        return fmt::format("  {:<8} p50 {:.1f} us  p99 {:.1f} us  max {:.1f} us\n", what, us(0.5),
                           us(0.99), us(1));
    }

    // A bar for the sizes from each power of two, exclusive, to the next.
    static std::string bars(const batching::Distribution<std::size_t>& sizes) {
        std::map<int, std::uint64_t> batches;
        sizes.for_each_bucket([&](std::size_t size, std::uint64_t times) {
            batches[static_cast<int>(std::bit_width(std::max<std::size_t>(size, 1) - 1))] += times;
        });
        std::string lines = fmt::format("  of {:.1f} items\n", sizes.mean());
        for (const auto& [width, times] : batches) {
            const std::size_t most = std::size_t{1} << width;
            const double share = static_cast<double>(times) / static_cast<double>(sizes.count());
            lines += fmt::format(
                "  {:>10} {:>3.0f} % {:#<{}}\n",
                most < 3 ? fmt::format("{}", most) : fmt::format("{}-{}", most / 2 + 1, most),
                100 * share, "", static_cast<int>(50 * share + 0.5));
        }
        return lines;
    }

    static std::string in_lines(std::string sentence) {
        for (std::size_t at = 70; (at = sentence.find(' ', at)) != std::string::npos; at += 70) {
            sentence.replace(at, 1, "\n  ");
        }
        return fmt::format("  {}\n", sentence);
    }

    batching::grpc::StatsReader reader_;
    std::string name_;
    std::map<std::string, std::deque<Look>> looks_;
};

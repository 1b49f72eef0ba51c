// PrometheusPage: the text exposition format 0.0.4, line by line.
#pragma once

#include <fmt/core.h>

#include <batcher/distribution.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace batching::detail {

// A histogram's bounds are powers of two, from that of `first` to that of `last`.
struct HistogramBounds {
    unsigned first;
    unsigned last;
};

inline double in_base_units(std::chrono::duration<double> time) { return time.count(); }
inline double in_base_units(double items) { return items; }
inline double in_base_units(std::size_t items) { return static_cast<double>(items); }

// As the format demands it in a label.
inline std::string escaped_label(std::string_view text) {
    std::string escaped;
    for (const char c : text) {
        if (c == '\\' || c == '"') escaped += '\\';
        if (c == '\n') {
            escaped += "\\n";
        } else {
            escaped += c;
        }
    }
    return escaped;
}

// One family of metrics after the other. A family that gets no sample is not written.
class PrometheusPage {
public:
    void family(std::string name, std::string_view type, std::string_view help) {
        family_ = std::move(name);
        header_ = fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", family_, help, type);
    }

    template <class Number>
    void sample(std::string_view labels, Number value) {
        sample("", labels, value);
    }

    template <class T>
    void histogram(std::string_view labels, const Distribution<T>& seen, HistogramBounds bounds) {
        for (unsigned power = bounds.first; power <= bounds.last; ++power) {
            const auto bound = static_cast<T>(std::uint64_t{1} << power);
            bucket(labels, in_base_units(bound), seen.count_up_to(bound));
        }
        bucket(labels, "+Inf", seen.count());
        sample("_sum", labels, in_base_units(seen.sum()));
        sample("_count", labels, seen.count());
    }

    std::string text() && { return std::move(text_); }

private:
    template <class Number>
    void sample(std::string_view suffix, std::string_view labels, Number value) {
        text_ += std::exchange(header_, {});
        text_ += fmt::format("{}{}{{{}}} {}\n", family_, suffix, labels, value);
    }

    template <class Bound>
    void bucket(std::string_view labels, Bound bound, std::uint64_t count) {
        sample("_bucket", fmt::format("{},le=\"{}\"", labels, bound), count);
    }

    std::string family_;
    std::string header_;  // until there is a sample
    std::string text_;
};

}  // namespace batching::detail

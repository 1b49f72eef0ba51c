// in_words: times in sentences.
#pragma once

#include <fmt/core.h>

#include <chrono>
#include <string>

namespace batching::detail {

// In the longest of the units that leaves two digits, or loses nothing: "35 ms", "1 ms", "1500 us".
inline std::string in_words(std::chrono::nanoseconds time) {
    const auto ns = time.count();
    const auto fits = [ns](std::chrono::nanoseconds unit) {
        return ns >= 10 * unit.count() || (ns != 0 && ns % unit.count() == 0);
    };
    using namespace std::chrono_literals;
    if (fits(1s)) return fmt::format("{} s", ns / 1'000'000'000);
    if (fits(1ms)) return fmt::format("{} ms", ns / 1'000'000);
    if (fits(1us)) return fmt::format("{} us", ns / 1'000);
    return fmt::format("{} ns", ns);
}

}  // namespace batching::detail

// What the example prints: a progress line, and bars.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>

#if defined(_WIN32)
#include <io.h>
#else
#include <unistd.h>
#endif

namespace digits {

inline bool stdout_is_terminal() {
#if defined(_WIN32)
    return _isatty(_fileno(stdout)) != 0;
#else
    return isatty(STDOUT_FILENO) != 0;
#endif
}

// A line that is written over itself. Where there is no terminal to do that in, a file or a CI log,
// it is written once.
class ProgressLine {
public:
    explicit ProgressLine(std::string_view what) : what_(what) {
        if (!in_place_) fmt::print("{} ...\n", what_);
        std::fflush(stdout);
    }
    ProgressLine(const ProgressLine&) = delete;
    ProgressLine& operator=(const ProgressLine&) = delete;

    ~ProgressLine() { rewrite(""); }

    void show(std::string_view state) { rewrite(fmt::format("{}: {}", what_, state)); }

private:
    void rewrite(std::string_view line) {
        if (!in_place_) return;
        fmt::print("\r{:<78}\r{}", "", line);
        std::fflush(stdout);
    }

    const std::string what_;
    const bool in_place_ = stdout_is_terminal();
};

// A bar for `value`: 50 characters for `largest`, and at least one for what is not 0.
inline std::string bar(std::size_t value, std::size_t largest) {
    constexpr std::size_t longest = 50;
    if (value == 0) return {};
    return fmt::format("{:█<{}}", "", std::max<std::size_t>(1, value * longest / largest));
}

}  // namespace digits

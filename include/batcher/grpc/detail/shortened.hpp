// Names for a sentence: a status travels in a header, and most clients take 8 KiB of those, all together.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace batching::grpc::detail {

// The text, with "..." for its middle if it is long.
inline std::string shortened(std::string_view text, std::size_t longest = 400) {
    if (text.size() <= longest) return std::string(text);
    const std::size_t half = longest / 2;
    return std::string(text.substr(0, half)) + "..." + std::string(text.substr(text.size() - half));
}

// Both texts, with "..." where they agree, but for what is next to the difference; long differences are
// shortened, too.
inline std::pair<std::string, std::string> shortened(std::string_view a, std::string_view b) {
    constexpr std::size_t enough = 400;
    constexpr std::size_t kept = 40;
    if (a.size() <= enough && b.size() <= enough) return {std::string(a), std::string(b)};
    const auto differ = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
    const auto from = static_cast<std::size_t>(differ.first - a.begin());
    const std::size_t shorter = std::min(a.size(), b.size());
    std::size_t same_end = 0;
    while (same_end < shorter - from && a[a.size() - 1 - same_end] == b[b.size() - 1 - same_end]) {
        ++same_end;
    }
    const std::size_t start = from > kept ? from - kept : 0;
    const std::size_t end = same_end > kept ? same_end - kept : 0;
    const auto cut = [&](std::string_view text) {
        return (start != 0 ? "..." : "") +
               shortened(text.substr(start, text.size() - end - start), enough) +
               (end != 0 ? "..." : "");
    };
    return {cut(a), cut(b)};
}

}  // namespace batching::grpc::detail

// Where digits_server listens and digits_client calls, if they are not told: a unix socket among the
// temporary files. A service of yours has a directory of its own, which others cannot write.
#pragma once

#include <charconv>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

namespace digits {

inline std::string default_address() {
    return "unix:" + (std::filesystem::temp_directory_path() / "batcher-digits.sock").string();
}

// Whether an argument has the form of an address: "unix:PATH" or "HOST:PORT".
inline bool is_address(std::string_view text) {
    if (text.starts_with("unix:")) return text.size() > 5;
    const std::size_t colon = text.rfind(':');
    if (colon == 0 || colon == std::string_view::npos) return false;
    std::uint16_t port = 0;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data() + colon + 1, end, port);
    return rest == end && error == std::errc();
}

}  // namespace digits

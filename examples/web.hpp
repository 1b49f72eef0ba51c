// What the web servers share: two models, and their command line. A model takes many items, and gives
// as many results.
#pragma once

#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

namespace web {

inline std::vector<double> square_roots(std::vector<double> batch) {
    // What a device takes, be it for one item or for many.
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    for (double& x : batch) x = std::sqrt(x);
    return batch;
}

// Ten times as slow, so it is on three devices.
class Shouter {
public:
    explicit Shouter(std::size_t device) : device_(device) {}

    std::vector<std::string> operator()(const std::vector<std::string>& batch) const {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        std::vector<std::string> shouted;
        for (const std::string& word : batch) {
            shouted.push_back(fmt::format("{}! (device {})", upper_case(word), device_));
        }
        return shouted;
    }

private:
    static std::string upper_case(std::string word) {
        for (char& c : word) {
            c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
        }
        return word;
    }

    std::size_t device_;
};

inline std::optional<std::uint16_t> port_in(std::string_view text) {
    std::uint16_t port = 0;
    const char* end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, port);
    if (rest != end || error != std::errc()) return std::nullopt;
    return port;
}

// main() of a server. Port 0 is any free one.
inline int run(int argc, char** argv, const char* name, void (*serve)(std::uint16_t port)) {
    const auto port = port_in(argc > 1 ? argv[1] : "8080");
    if (argc > 2 || !port) {
        fmt::print(stderr, "{0} takes one port, from 0 to 65535.\nusage: {0} [PORT]\n", name);
        return 2;
    }
    try {
        serve(*port);
        return EXIT_SUCCESS;
    } catch (const std::exception& error) {
        fmt::print(stderr, "{}: {}\n", name, error.what());
        return EXIT_FAILURE;
    }
}

}  // namespace web

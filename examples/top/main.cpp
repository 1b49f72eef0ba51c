// What the Batchers of a deployment do, live in a terminal, as htop shows it of processes. It ends on q or Ctrl-C.
//
//     top ADDRESS [NAME] [--once] [--ca FILE]    that of the deployment, and which of its Batchers; all if not given
//
// With --once, or where it is not run in a terminal, it prints what they have done since they were made, and ends. With --ca
// it uses TLS, and trusts the authorities in a PEM file; those of the system, if its name is "". A deployment that wants a
// token gets that of the environment, BATCHER_TOKEN.
#include "screen.hpp"
#include "view.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <string>
#include <vector>

static void watch(View& view) {
    std::string text = view.look();  // what is wrong at first ends it
    const Screen screen;
    for (screen.show(text); screen.wait(); screen.show(text)) {
        try {
            text = view.look();
        } catch (const std::exception& error) {
            text = fmt::format("{}\n", error.what());
        }
    }
}

// Takes `--ca FILE` out of the arguments.
static std::optional<batching::grpc::Tls> tls_in(std::vector<std::string>& arguments) {
    const auto option = std::find(arguments.begin(), arguments.end(), "--ca");
    if (arguments.end() - option < 2) return std::nullopt;
    const batching::grpc::Tls tls{.root_certificates = option[1]};
    arguments.erase(option, option + 2);
    return tls;
}

int main(int argc, char** argv) {
    std::vector<std::string> arguments(argv + 1, argv + argc);
    const bool once = std::erase(arguments, "--once") != 0;
    const auto tls = tls_in(arguments);
    if (arguments.empty() || arguments.size() > 2 || arguments.back() == "--ca") {
        fmt::print(stderr,
                   "top takes the address of a deployment.\n"
                   "usage: top unix:PATH | HOST:PORT [NAME] [--once] [--ca FILE]\n");
        return 2;
    }
    arguments.resize(2);
    try {
        View view(arguments[0], arguments[1], tls);
        if (once || isatty(STDIN_FILENO) == 0 || isatty(STDOUT_FILENO) == 0) {
            fmt::print("{}", printable(view.look()));
        } else {
            watch(view);
        }
    } catch (const std::exception& error) {
        fmt::print(stderr, "top: {}\n", printable(error.what()));
        return 1;
    }
}

// Handles of static storage duration, which are destroyed after main: the program ends, with 0.
//
// One lives longer than anything that connect() makes, and is destroyed after all of that; one is made by
// connect() before main and never called; one still calls when main returns.
#include "types.hpp"

#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#if defined(BATCHER_USE_BOOST_ASIO)
#include <boost/asio.hpp>
#else
#include <asio.hpp>
#endif

using namespace std::chrono_literals;

namespace {

using Handle = batching::Batcher<int, int>;

Handle connect(std::string address) {
    return batching::grpc::connect<int, int>(std::move(address), "echo", {.timeout = 100ms});
}

// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables): they are what is tested
std::optional<Handle> longest;
Handle never_called = connect("unix:/nowhere");
std::optional<Handle> shortest;
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)

}  // namespace

int main() {
    batching::Batcher<int, int> model([](std::vector<int> items) { return items; },
                                      {.batch_timeout = 0ns});
    const auto deployment = batching::grpc::deploy({.listen = "127.0.0.1:0"}, "echo", model);
    longest.emplace(connect(deployment.address()));
    shortest.emplace(connect("unix:/nowhere"));
    shortest->async_process(1, batching::asio::detached);
    longest->async_process(1, batching::asio::detached);
    return 0;
}

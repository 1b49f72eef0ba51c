// Where a deployment may listen, and what it may be told.
#include <fmt/format.h>
#include <sys/un.h>

#include "deployed.hpp"

namespace listening_test {

using namespace test;

TEST_CASE("a unix socket's path may have 98 bytes (94 on macOS), whoever listens there") {
    constexpr std::size_t most = sizeof(sockaddr_un::sun_path) - 10;
    Deployed deployed;
    const Directory directory;
    const auto path_of = [&](std::size_t size) {
        std::string path = directory.file("");
        path.append(size - path.size(), 's');
        return path;
    };
    const std::string longest = "unix:" + path_of(most);
    for (int i = 0; i < 12; ++i) {  // names of 1 and of 2 digits, if there were any
        const auto deployment = rpc::deploy({.listen = longest}, "doubling", deployed.model);
        CHECK(rpc::connect<int, int>(longest, "doubling").process(21).get() == 42);
    }
    const std::string longer = "unix:" + path_of(most + 1);
    CHECK(sentence_of([&] {
              std::ignore = rpc::deploy({.listen = longer}, "doubling", deployed.model);
          }) == "the deployment cannot listen on " + longer +
                    fmt::format(": its path has {} bytes, and {} are the most: File name too long",
                                most + 1, most));
}

TEST_CASE("times of keepalive that are less than none are refused by name") {
    Deployed deployed;
    const auto both = [&](rpc::Keepalive keepalive) {
        const std::string deploying = sentence_of([&] {
            std::ignore = rpc::deploy({.listen = "127.0.0.1:0", .keepalive = keepalive}, "doubling",
                                      deployed.model);
        });
        CHECK(sentence_of([&] { rpc::connect<int, int>("x", "y", {.keepalive = keepalive}); }) ==
              deploying);
        return deploying;
    };
    CHECK(both({.interval = -1ms}) == "keepalive.interval must be 0 or more, not -1 ms");
    CHECK(both({.timeout = -5s}) == "keepalive.timeout must be 0 or more, not -5000 ms");
}

TEST_CASE("a message has to fit into the memory that calls may take") {
    Deployed deployed;
    CHECK(sentence_of([&] {
              std::ignore = rpc::deploy(
                  {.listen = "127.0.0.1:0", .max_message_size = 1'000, .max_memory = 999},
                  "doubling", deployed.model);
          }) == "max_memory must be at least max_message_size, 1000 bytes, not 999");
}

}  // namespace listening_test

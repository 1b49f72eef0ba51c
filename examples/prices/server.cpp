// A model in a process of its own, with a struct of one's own as its item.
//
//     prices_server [ADDRESS]    "unix:/run/prices.sock", "0.0.0.0:9000"
#include "order.hpp"

#include <fmt/format.h>

#include <batcher.hpp>
#include <batcher/grpc.hpp>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

// --8<-- [start:function]
// The batch function: many orders in, of any clients; as many prices out.
std::vector<Price> price(std::vector<Order> orders) {
    std::vector<Price> prices;
    for (const Order& order : orders) {
        const double each = order.product == "apple" ? 0.25 : 1;
        prices.push_back({each * order.count, orders.size()});
    }
    return prices;
}
// --8<-- [end:function]

void serve(const std::string& address) {
    // --8<-- [start:deploy]
    batching::Batcher prices{price, {.max_batch_size = 256}};
    auto deployment = batching::grpc::deploy({.listen = address}, "prices", prices);
    fmt::print("\"prices\" is deployed on {}\n", deployment.address());
    std::fflush(stdout);
    deployment.wait();  // for SIGTERM or Ctrl-C; then it answers what it has accepted
    // --8<-- [end:deploy]
    fmt::print("{} orders were priced\n", prices.stats().completed);
}

int main(int argc, char** argv) {
    if (argc > 2) {
        fmt::print(
            stderr,
            "prices_server takes one address.\nusage: prices_server [unix:PATH | HOST:PORT]\n");
        return 2;
    }
    try {
        serve(argc > 1 ? argv[1] : "unix:/tmp/prices.sock");
    } catch (const std::exception& error) {
        fmt::print(stderr, "prices_server: {}\n", error.what());
        return 1;
    }
}

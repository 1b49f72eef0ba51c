// An application that asks the model, one order at a time, from as many coroutines as there are orders.
//
//     prices_client [ADDRESS]    that of prices_server, which may be started later
#include "order.hpp"

#include <fmt/format.h>

#include <asio.hpp>
#include <batcher.hpp>
#include <batcher/grpc.hpp>
#include <cstdio>
#include <exception>
#include <string>

// --8<-- [start:caller]
asio::awaitable<void> ask(batching::Batcher<Order, Price>& prices, Order order) {
    const Price price = co_await prices.process(order);
    fmt::print("{} of {} cost {}; their batch had {} orders\n", order.count, order.product,
               price.total, price.batch_size);
}
// --8<-- [end:caller]

void ask_all(const std::string& address) {
    // --8<-- [start:connect]
    auto prices = batching::grpc::connect<Order, Price>(address, "prices");
    // --8<-- [end:connect]
    asio::io_context context;
    for (int count = 1; count <= 3; ++count) {
        asio::co_spawn(context, ask(prices, Order{"apple", count}), [](std::exception_ptr error) {
            if (error) std::rethrow_exception(error);
        });
    }
    context.run();
}

int main(int argc, char** argv) {
    if (argc > 2) {
        fmt::print(
            stderr,
            "prices_client takes one address.\nusage: prices_client [unix:PATH | HOST:PORT]\n");
        return 2;
    }
    try {
        ask_all(argc > 1 ? argv[1] : "unix:/tmp/prices.sock");
    } catch (const std::exception& error) {
        fmt::print(stderr, "prices_client: {}\n", error.what());
        return 1;
    }
}

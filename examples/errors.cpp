// What a caller gets when something goes wrong: an exception of its own item, or a batching::Error.
#include <fmt/format.h>

#include <asio.hpp>
#include <batcher.hpp>
#include <cmath>
#include <initializer_list>
#include <stdexcept>
#include <vector>

using Batcher = batching::Batcher<double, double>;

// --8<-- [start:function]
// Items fail one by one: a Result holds a value or an exception.
std::vector<batching::Result<double>> square_roots(const std::vector<double>& batch) {
    std::vector<batching::Result<double>> results;
    for (const double x : batch) {
        if (x >= 0) {
            results.emplace_back(std::sqrt(x));
        } else {
            results.emplace_back(std::make_exception_ptr(std::domain_error("no square root")));
        }
    }
    return results;
}
// --8<-- [end:function]

// --8<-- [start:caller]
asio::awaitable<void> ask(Batcher& batcher, double x) {
    try {
        const double root = co_await batcher.process(x);
        fmt::print("{}: {}\n", x, root);
    } catch (const batching::Error& error) {  // the library's: code() is one of batching::errc
        fmt::print("{}: {} ({})\n", x, error.what(),
                   error.code() == batching::errc::overloaded ? "try again later" : "give up");
    } catch (const std::domain_error& error) {  // the batch function's
        fmt::print("{}: {}\n", x, error.what());
    }
}
// --8<-- [end:caller]

int main() {
    asio::io_context context;
    Batcher batcher{context, square_roots, {.max_queue_size = 3}};
    const auto ask_all = [&](std::initializer_list<double> numbers) {
        for (const double x : numbers) asio::co_spawn(context, ask(batcher, x), asio::detached);
        context.run();
        context.restart();
    };

    ask_all({4, -4, 9, 16});  // three may wait; the fourth is refused at once

    // --8<-- [start:drain]
    // To stop: nothing new is accepted, and what was accepted still gets its result.
    batcher.async_drain([](const std::exception_ptr&) { fmt::print("drained\n"); });
    // --8<-- [end:drain]
    ask_all({25});
}

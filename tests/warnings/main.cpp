// A program that is optimised, and compiled with all warnings as errors: without optimisation g++ does not look for what
// may be uninitialised. Its items and results hold strings, and it calls in every way.
#include <batcher.hpp>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "functions.hpp"

static std::vector<std::string> echo(std::vector<std::string> items) { return items; }

template <class In, class Out>
static batching::asio::awaitable<void> await(batching::Batcher<In, Out>& batcher, In item) {
    const std::vector<Out> results = co_await batcher.process_many({item, item});
    std::optional<Out> result;
    result = co_await batcher.process(std::move(item));
}

template <class F, class In>
static void call(F function, const In& item) {
    batching::asio::io_context context;
    batching::Batcher batcher{function};
    using Out = typename decltype(batcher)::result_type;
    batching::asio::co_spawn(context, await<In, Out>(batcher, item), [](std::exception_ptr error) {
        if (error) std::rethrow_exception(error);
    });
    const Out result = batcher.process(item).get();
    const std::vector<Out> results = batcher.process_many({item, item}).get();
    batcher.async_process(item, [](std::exception_ptr, const Out&) {});
    batcher.async_process_many({item, item}, [](std::exception_ptr, const std::vector<Out>&) {});
    context.run();
}

int main() {
    call(shout, std::string("a"));
    call(answer, Question{"a", 1});
    call(echo, std::string("a"));
}

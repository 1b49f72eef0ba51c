// The least that a program with coroutines and a timer takes, without a library on top of Asio.
#include <asio.hpp>
#include <chrono>

asio::awaitable<void> call(asio::steady_timer& timer) {
    co_await timer.async_wait(asio::use_awaitable);
}

int main() {
    asio::io_context context;
    asio::steady_timer timer(context, std::chrono::milliseconds(1));
    asio::co_spawn(context, call(timer), asio::detached);
    context.run();
}

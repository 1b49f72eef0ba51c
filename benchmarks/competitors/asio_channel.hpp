// Written by hand: an Asio channel of requests, and a coroutine that gathers them into batches.
//
// Careful work, as far as it goes: it takes what is there without waiting for each item, sets the timer
// only when the channel runs dry, and hears of the timer through the channel. (The shorter way,
// `channel.async_receive() || timer.async_wait()`, costs 100 times as much and loses items: a cancelled
// receive can have taken one.) Results come back by one post an item.
#pragma once

#include <asio.hpp>
#include <asio/experimental/channel.hpp>
#include <competitors/rules.hpp>
#include <cstddef>
#include <measure.hpp>
#include <memory>
#include <utility>
#include <vector>

namespace bench {

class AsioChannel {
    // A caller, whatever its handler's type.
    struct Caller {
        virtual ~Caller() = default;
        virtual void complete(int result) = 0;
    };

    template <class Handler>
    struct CallerOf final : Caller {
        CallerOf(asio::io_context& c, Handler&& h) : context(c), handler(std::move(h)) {}
        void complete(int result) override {
            asio::post(context,
                       [h = std::move(handler), result]() mutable { std::move(h)(result); });
        }
        asio::io_context& context;
        Handler handler;
    };

    struct Request {
        int input = 0;
        std::shared_ptr<Caller>
            caller;  // none: the timer says that the batch with this number is due
        std::size_t due = 0;
    };

    using ErrorCode = decltype(make_error_code(asio::error::operation_aborted));
    using Channel = asio::experimental::channel<void(ErrorCode, Request)>;

public:
    AsioChannel(asio::io_context& context, const Rules& rules)
        : context_(context), rules_(rules), timer_(context), channel_(context, room) {
        asio::co_spawn(context, run(), asio::detached);
    }

    asio::awaitable<int> process(int x) {
        return asio::async_initiate<const asio::use_awaitable_t<>, void(int)>(
            [this, x](auto&& handler) {
                using Handler = std::decay_t<decltype(handler)>;
                send({x, std::make_shared<CallerOf<Handler>>(context_, std::move(handler)), 0});
            },
            asio::use_awaitable);
    }

private:
    static constexpr std::size_t room = std::size_t{1} << 20;

    struct Batch {
        std::vector<int> inputs;
        std::vector<std::shared_ptr<Caller>> callers;
    };

    void send(Request request) {
        if (!channel_.try_send(ErrorCode(), request)) {
            channel_.async_send(ErrorCode(), std::move(request), asio::detached);
        }
    }

    asio::awaitable<void> run() {
        for (;;) {
            ++number_;
            Batch batch;
            batch.inputs.reserve(rules_.max_batch_size);
            batch.callers.reserve(rules_.max_batch_size);
            while (batch.inputs.empty()) take(batch, co_await receive());
            co_await fill(batch);
            const std::vector<int> results = twice(batch.inputs);
            for (std::size_t i = 0; i < results.size(); ++i) batch.callers[i]->complete(results[i]);
        }
    }

    // Returns when the batch is full or due.
    asio::awaitable<void> fill(Batch& batch) {
        const auto due = Clock::now() + rules_.batch_timeout;
        bool armed = false;
        bool is_due = false;
        while (batch.inputs.size() < rules_.max_batch_size && !is_due) {
            Request request;
            const bool there = channel_.try_receive(
                [&](ErrorCode, Request received) { request = std::move(received); });
            if (!there) {
                if (!std::exchange(armed, true)) arm(due);
                request = co_await receive();
            }
            is_due = !request.caller && request.due == number_;
            take(batch, std::move(request));
        }
        if (armed) timer_.cancel();
    }

    static void take(Batch& batch, Request request) {
        if (!request.caller) return;
        batch.inputs.push_back(request.input);
        batch.callers.push_back(std::move(request.caller));
    }

    asio::awaitable<Request> receive() { return channel_.async_receive(asio::use_awaitable); }

    void arm(Clock::time_point due) {
        timer_.expires_at(due);
        timer_.async_wait([this, number = number_](ErrorCode error) {
            if (!error) send({0, nullptr, number});
        });
    }

    asio::io_context& context_;
    const Rules rules_;
    asio::steady_timer timer_;
    Channel channel_;
    std::size_t number_ = 0;
};

}  // namespace bench

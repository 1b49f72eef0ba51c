// A deployment on loopback in the test's own process, so that the test sees its Batcher.
#pragma once

#include "support.hpp"

#include <future>

namespace test {

inline constexpr batching::Options at_once{.batch_timeout = 0ns};

// "doubling", of ints.
struct Deployed {
    Doubling doubling;
    batching::Batcher<int, int> model;
    rpc::Deployment deployment;

    explicit Deployed(batching::Options options = at_once, rpc::DeployOptions deploy_options = {})
        : model(doubling.function(), options),
          deployment(rpc::deploy(listening(std::move(deploy_options)), "doubling", model)) {}
    Deployed(const Deployed&) = delete;
    Deployed& operator=(const Deployed&) = delete;
    ~Deployed() { doubling.release(); }

    static rpc::DeployOptions listening(rpc::DeployOptions options) {
        options.listen = "127.0.0.1:0";
        return options;
    }
    batching::Batcher<int, int> connect(rpc::ConnectOptions options = {}) const {
        return rpc::connect<int, int>(deployment.address(), "doubling", std::move(options));
    }
};

// Calls process(item) in a coroutine on `context`.
template <class In, class Out>
std::future<Out> spawn(aio::io_context& context, batching::Batcher<In, Out>& batcher, In item) {
    return aio::co_spawn(
        context,
        [](batching::Batcher<In, Out>& b, In i) -> aio::awaitable<Out> {
            co_return co_await b.process(std::move(i));
        }(batcher, std::move(item)),
        aio::use_future);
}

// process_many(items), until `signal` is emitted.
template <class In, class Out>
std::future<std::vector<Out>> cancellable(batching::Batcher<In, Out>& batcher,
                                          std::vector<In> items, aio::cancellation_signal& signal) {
    return batcher.async_process_many(std::move(items),
                                      aio::bind_cancellation_slot(signal.slot(), aio::use_future));
}

}  // namespace test

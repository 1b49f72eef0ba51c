#include "support.hpp"

#include <batcher.hpp>
#include <future>
#include <thread>

using namespace test;
using batching::errc;

namespace {

constexpr batching::Options at_once{.batch_timeout = 0ns};

// A deployment "doubling" of ints on loopback, in this process.
struct Deployed {
    Doubling doubling;
    batching::Batcher<int, int> model;
    rpc::Deployment deployment;

    explicit Deployed(batching::Options options = at_once, rpc::DeployOptions deploy_options = {})
        : model(doubling.function(), options),
          deployment(rpc::deploy(listening(std::move(deploy_options)), "doubling", model)) {}
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
std::future<int> spawn(aio::io_context& context, batching::Batcher<int, int>& batcher, int item) {
    return aio::co_spawn(
        context,
        [](batching::Batcher<int, int>& b, int i) -> aio::awaitable<int> {
            co_return co_await b.process(i);
        }(batcher, item),
        aio::use_future);
}

}  // namespace

TEST_CASE("a handle gives what the deployment's function gives") {
    const Deployed deployed;
    auto handle = deployed.connect();
    CHECK(handle.process(21).get() == 42);
    CHECK(handle.process_many({1, 2, 3}).get() == std::vector{2, 4, 6});
}

TEST_CASE("a handle is a Batcher, so that one line changes between in process and remote") {
    Deployed deployed;
    auto handle = deployed.connect();
    static_assert(std::same_as<decltype(handle), decltype(deployed.model)>);
}

TEST_CASE("a deployment listens on a unix socket") {
    const Directory directory;
    Doubling doubling;
    batching::Batcher<int, int> model(doubling.function(), at_once);
    const auto deployment =
        rpc::deploy({.listen = "unix:" + directory.file("socket")}, "doubling", model);
    auto handle = rpc::connect<int, int>("unix:" + directory.file("socket"), "doubling");
    CHECK(handle.process(21).get() == 42);
}

TEST_CASE(
    "coroutines resume on their own executor, and the handle's function runs on no thread of it") {
    Deployed deployed;
    aio::io_context context;
    auto handle = rpc::connect<int, int>(context, deployed.deployment.address(), "doubling");
    auto a = spawn(context, handle, 1);
    auto b = spawn(context, handle, 2);
    context.run();
    CHECK(a.get() == 2);
    CHECK(b.get() == 4);
}

TEST_CASE("what comes while all calls are in flight goes together in the next") {
    Deployed deployed;
    deployed.doubling.hold();
    auto handle = deployed.connect({.calls_in_flight = 1});
    aio::io_context context;
    std::vector<std::future<int>> results;
    results.push_back(spawn(context, handle, 0));
    context.poll();
    REQUIRE(deployed.doubling.called(1));
    for (int i = 1; i <= 10; ++i) results.push_back(spawn(context, handle, i));
    context.poll();
    deployed.doubling.release();
    context.run();
    for (int i = 0; i <= 10; ++i) CHECK(results[static_cast<std::size_t>(i)].get() == 2 * i);
    CHECK(deployed.doubling.batches().size() == 2);
}

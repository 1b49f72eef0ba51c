#include "deployed.hpp"

#include <atomic>
#include <batcher.hpp>
#include <future>
#include <stdexcept>
#include <thread>

namespace test {

// What one side cannot write, and the other cannot read.
struct Untold {
    std::string text;
};

}  // namespace test

template <>
struct batching::Codec<test::Untold> {
    static std::string schema() { return "untold"; }
    static void encode(const test::Untold& value, std::string& out) {
        if (value.text == "never") throw std::runtime_error("my lips are sealed");
        out += value.text;
    }
    static test::Untold decode(std::string_view) { throw std::runtime_error("never heard of it"); }
};

using namespace test;
using batching::errc;

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

TEST_CASE("who observes a handle is told of its remote calls, and of what they failed with") {
    const Directory directory;
    const std::string address = "unix:" + directory.file("socket");
    std::vector<batching::BatchReport> reports;
    auto handle = rpc::connect<int, int>(
        address, "doubling", {.timeout = 200ms},
        batching::observe([&](const batching::BatchReport& report) { reports.push_back(report); }));
    CHECK_THROWS_AS(handle.process(1).get(), batching::Error);  // nobody is there
    Doubling doubling;
    batching::Batcher<int, int> model(doubling.function(), at_once);
    const auto deployment = rpc::deploy({.listen = address}, "doubling", model);
    auto other = rpc::connect<int, int>(
        address, "doubling", {},
        batching::observe([&](const batching::BatchReport& report) { reports.push_back(report); }));
    CHECK(other.process_many({1, 2, 3}).get() == std::vector{2, 4, 6});
    REQUIRE(reports.size() == 2);
    CHECK(reports[0].size == 1);
    CHECK(reports[1].size == 3);
    CHECK(reports[1].failed == 0);
    CHECK(reports[1].error == nullptr);
    CHECK(reports[1].run_time > 0ns);
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

TEST_CASE("a function that gives nothing is deployed, too") {
    std::atomic<int> sum{0};
    batching::Batcher<int, void> model(
        [&](const std::vector<int>& items) {
            for (const int item : items) sum += item;
        },
        at_once);
    const auto deployment = rpc::deploy({.listen = "127.0.0.1:0"}, "sum", model);
    auto handle = rpc::connect<int, void>(deployment.address(), "sum");
    handle.process(20).get();
    handle.process_many({1, 2}).get();
    CHECK(sum == 23);
}

TEST_CASE("one server serves several deployments, and each name finds its own") {
    Doubling doubling;
    batching::Batcher<int, int> twice(doubling.function(), at_once);
    batching::Batcher<int, int> negated(
        [](std::vector<int> items) {
            for (int& item : items) item = -item;
            return items;
        },
        at_once);
    const auto deployment =
        rpc::deploy({.listen = {"127.0.0.1:0", "127.0.0.1:0"}}, "twice", twice, "negated", negated);
    REQUIRE(deployment.addresses().size() == 2);
    auto a = rpc::connect<int, int>(deployment.addresses()[0], "twice");
    auto b = rpc::connect<int, int>(deployment.addresses()[1], "negated");
    CHECK(a.process(21).get() == 42);
    CHECK(b.process(21).get() == -21);
}

TEST_CASE("what does not fit into one message is sent in several, and results keep their places") {
    batching::Batcher<std::string, std::string> model(
        [](std::vector<std::string> items) { return items; }, at_once);
    const auto deployment = rpc::deploy({.listen = "127.0.0.1:0"}, "echo", model);
    auto handle = rpc::connect<std::string, std::string>(deployment.address(), "echo",
                                                         {.max_message_size = 5000});
    std::vector<std::string> items;
    for (std::size_t i = 0; i < 100; ++i) {
        items.push_back(std::to_string(i) + std::string(i * 10, 'x'));
    }
    CHECK(handle.process_many(items).get() == items);
}

TEST_CASE("an item that fits into no message fails alone, on either side") {
    batching::Batcher<std::string, std::string> model(
        [](std::vector<std::string> items) {
            for (auto& item : items) {
                if (item == "grow") item.assign(9000, 'x');
            }
            return items;
        },
        at_once);
    const auto deployment =
        rpc::deploy({.listen = "127.0.0.1:0", .max_message_size = 5000}, "echo", model);
    auto handle = rpc::connect<std::string, std::string>(
        deployment.address(), "echo", {.calls_in_flight = 1, .max_message_size = 5000});
    const auto large = call(handle, std::string(6000, 'x'));
    CHECK(large.error == errc::message_too_large);
    CHECK(contains(large.sentence, "an item of 6006 bytes"));
    const auto grown = call(handle, std::string("grow"));
    CHECK(grown.error == errc::message_too_large);
    CHECK(contains(grown.sentence, "a result of 900"));
    CHECK(call(handle, std::string("small")).value == "small");
}

TEST_CASE("an item that cannot be written says where it was to go") {
    batching::Batcher<Untold, int> model(
        [](const std::vector<Untold>& items) { return std::vector<int>(items.size()); }, at_once);
    const auto deployment = rpc::deploy({.listen = "127.0.0.1:0"}, "untold", model);
    auto handle = rpc::connect<Untold, int>(deployment.address(), "untold");
    const auto unwritten = call(handle, Untold{"never"});
    CHECK(unwritten.error == errc::malformed);
    CHECK(unwritten.sentence == "an item for the deployment \"untold\" at " + deployment.address() +
                                    " cannot be written: my lips are sealed");
    const auto unread = call(handle, Untold{"once"});
    CHECK(unread.error == errc::malformed);
    CHECK(contains(unread.sentence, "could not read the item: never heard of it"));
}

TEST_CASE("an error of one item reaches its caller alone, with what was said over there") {
    batching::Batcher<int, int> model(
        [](const std::vector<int>& items) {
            std::vector<batching::Result<int>> results;
            for (const int item : items) {
                if (item == 13) {
                    results.emplace_back(
                        std::make_exception_ptr(std::domain_error("13 is bad luck")));
                } else {
                    results.emplace_back(item);
                }
            }
            return results;
        },
        at_once);
    const auto deployment = rpc::deploy({.listen = "127.0.0.1:0"}, "luck", model);
    auto handle = rpc::connect<int, int>(deployment.address(), "luck");
    aio::io_context context;
    auto good = spawn(context, handle, 12);
    auto bad = spawn(context, handle, 13);
    context.run();
    CHECK(good.get() == 12);
    CHECK_THROWS_WITH(bad.get(), "the deployment \"luck\" at " + deployment.address() +
                                     " failed on the item: 13 is bad luck");
    CHECK(call(handle, 13).error == errc::remote_failure);
}

TEST_CASE("a hundred handles share one deployment, and its batches mix their items") {
    Deployed deployed({.max_batch_size = 128, .batch_timeout = batching::no_timeout});
    aio::io_context context;
    std::vector<batching::Batcher<int, int>> handles;
    std::vector<std::future<int>> results;
    for (int i = 0; i < 100; ++i) {
        handles.push_back(
            rpc::connect<int, int>(context, deployed.deployment.address(), "doubling"));
    }
    for (int i = 0; i < 100; ++i) {
        results.push_back(spawn(context, handles[static_cast<std::size_t>(i)], i));
    }
    std::thread thread([&] { context.run(); });
    CHECK(eventually([&] { return deployed.model.stats().waiting == 100; }));
    deployed.model.flush();
    thread.join();
    for (int i = 0; i < 100; ++i) CHECK(results[static_cast<std::size_t>(i)].get() == 2 * i);
    CHECK(deployed.doubling.batches().size() == 1);
}

TEST_CASE("a queue that is full refuses the items that do not fit, and the others run") {
    Deployed deployed({.max_batch_size = 4, .batch_timeout = 0ns, .max_queue_size = 3});
    deployed.doubling.hold();
    auto first = deployed.connect();
    std::thread running([&] { CHECK(first.process(100).get() == 200); });
    REQUIRE(deployed.doubling.called(1));

    auto handle = deployed.connect({.calls_in_flight = 1, .max_items_per_call = 5});
    aio::io_context context;
    std::vector<std::future<int>> results;
    auto many = handle.async_process_many({0, 1, 2, 3, 4}, aio::use_future);
    CHECK(eventually([&] { return deployed.model.stats().rejected == 2; }));
    CHECK(deployed.model.stats().waiting == 3);
    deployed.doubling.release();
    running.join();
    CHECK(contains(sentence_of([&] { many.get(); }), "refused the item: the queue is full"));
    CHECK(deployed.doubling.batches().back() == std::vector{0, 1, 2});
}

TEST_CASE("types that are not the deployment's are refused, with both names") {
    Deployed deployed;
    auto handle = rpc::connect<std::string, int>(deployed.deployment.address(), "doubling");
    const auto ended = call(handle, std::string("21"));
    CHECK(ended.error == errc::schema_mismatch);
    CHECK(contains(ended.sentence, "types are str -> int, and the deployment's are int -> int"));
}

TEST_CASE("a name that nobody serves is an unknown deployment") {
    Deployed deployed;
    auto handle = rpc::connect<int, int>(deployed.deployment.address(), "trebling");
    const auto ended = call(handle, 1);
    CHECK(ended.error == errc::unknown_deployment);
    CHECK(contains(ended.sentence, "no deployment \"trebling\" is served here, but \"doubling\""));
}

TEST_CASE(
    "a call that is not answered in time fails with its deadline, and its item leaves the queue") {
    Deployed deployed({.max_batch_size = 2, .batch_timeout = batching::no_timeout});
    auto handle = deployed.connect({.timeout = 200ms});
    const auto ended = call(handle, 1);
    CHECK(ended.error == errc::deadline_exceeded);
    CHECK(contains(ended.sentence, "did not answer within 200 ms"));
    CHECK(eventually([&] { return deployed.model.stats().waiting == 0; }));
    CHECK(deployed.model.stats().cancelled == 1);
}

TEST_CASE("when all callers of a remote call have gone, its items leave the deployment's queue") {
    Deployed deployed({.max_batch_size = 8, .batch_timeout = batching::no_timeout});
    auto handle = deployed.connect();
    aio::cancellation_signal signal;
    auto many = cancellable(handle, {1, 2, 3}, signal);
    REQUIRE(eventually([&] { return deployed.model.stats().waiting == 3; }));
    signal.emit(aio::cancellation_type::terminal);
    CHECK_THROWS(many.get());
    CHECK(eventually([&] { return deployed.model.stats().waiting == 0; }));
    CHECK(deployed.model.stats().cancelled == 3);
}

TEST_CASE("an execution context may go while a remote call runs") {
    Deployed deployed;
    deployed.doubling.hold();
    std::optional<batching::Batcher<int, int>> handle;
    {
        aio::io_context context;
        handle.emplace(rpc::connect<int, int>(context, deployed.deployment.address(), "doubling"));
        auto abandoned = spawn(context, *handle, 1);
        context.poll();
        REQUIRE(deployed.doubling.called(1));
    }
    handle.reset();
    deployed.doubling.release();
}

TEST_CASE("a handle that is destroyed while its call runs lets it end") {
    Deployed deployed;
    deployed.doubling.hold();
    std::future<int> result;
    std::thread releasing;
    {
        auto handle = deployed.connect();
        result = handle.async_process(21, aio::use_future);
        REQUIRE(deployed.doubling.called(1));
        releasing = std::thread([&] { deployed.doubling.release(); });
    }
    releasing.join();
    CHECK(result.get() == 42);
}

TEST_CASE("a deployment may call another, and cancellation travels through it") {
    Deployed behind({.max_batch_size = 8, .batch_timeout = batching::no_timeout});
    auto forward = behind.connect();
    const auto proxy = rpc::deploy({.listen = "127.0.0.1:0"}, "proxy", forward);
    auto handle = rpc::connect<int, int>(proxy.address(), "proxy");
    aio::cancellation_signal signal;
    auto many = cancellable(handle, {1, 2}, signal);
    REQUIRE(eventually([&] { return behind.model.stats().waiting == 2; }));
    signal.emit(aio::cancellation_type::terminal);
    CHECK_THROWS(many.get());
    CHECK(eventually([&] { return behind.model.stats().waiting == 0; }));
    auto again = handle.async_process(21, aio::use_future);
    REQUIRE(eventually([&] { return behind.model.stats().waiting == 1; }));
    behind.model.flush();
    CHECK(again.get() == 42);
}

TEST_CASE("stopping finishes what was accepted, without waiting for more") {
    Deployed deployed({.max_batch_size = 8, .batch_timeout = batching::no_timeout});
    auto handle = deployed.connect({.timeout = 2s});
    auto result = handle.async_process(21, aio::use_future);
    REQUIRE(eventually([&] { return deployed.model.stats().waiting == 1; }));
    deployed.deployment.stop();
    CHECK(result.get() == 42);
    const auto ended = call(handle, 1);
    CHECK(ended.error == errc::deadline_exceeded);
    CHECK(contains(ended.sentence, "could not be reached within 2000 ms"));
}

TEST_CASE("what does not finish within the drain timeout is cancelled") {
    Deployed deployed(at_once, {.drain_timeout = 100ms});
    deployed.doubling.hold();
    auto handle = deployed.connect();
    auto result = handle.async_process(21, aio::use_future);
    REQUIRE(deployed.doubling.called(1));
    deployed.deployment.stop();
    CHECK_THROWS(result.get());
}

TEST_CASE("times without end are as good as any") {
    const Deployed deployed(at_once, {.drain_timeout = std::chrono::milliseconds::max(),
                                      .keepalive = {.interval = std::chrono::hours(1000)}});
    auto handle = deployed.connect({.timeout = std::chrono::milliseconds::max(),
                                    .keepalive = {.interval = std::chrono::hours(1000),
                                                  .timeout = std::chrono::milliseconds::max()}});
    CHECK(call(handle, 21).value == 42);
}

TEST_CASE("deploy options out of range are refused by name") {
    Deployed deployed;
    const auto refusal = [&](rpc::DeployOptions options) {
        options.listen = "127.0.0.1:0";
        return sentence_of([&] { std::ignore = rpc::deploy(options, "doubling", deployed.model); });
    };
    CHECK(refusal({.max_items_per_call = 0}) == "max_items_per_call must be 1 or more, not 0");
    CHECK(refusal({.drain_timeout = -1ms}) == "drain_timeout must be 0 or more, not -1 ms");
    CHECK(refusal({.max_connection_age = -1ms}) ==
          "max_connection_age must be 0 or more, not -1 ms");
}

TEST_CASE("wait() returns when another thread stops the deployment") {
    Deployed deployed;
    std::thread waiting([&] { deployed.deployment.wait(); });
    CHECK(deployed.connect().process(21).get() == 42);
    deployed.deployment.stop();
    waiting.join();
}

TEST_CASE("an address that cannot be bound is refused with a sentence that names it") {
    Deployed deployed;
    const std::string address = deployed.deployment.address();
    CHECK(contains(sentence_of([&] {
                       std::ignore = rpc::deploy({.listen = address}, "doubling", deployed.model);
                   }),
                   "the deployment cannot listen on " + address));
    CHECK_THROWS_AS(rpc::deploy({}, "doubling", deployed.model), std::invalid_argument);
    CHECK_THROWS_AS(
        rpc::deploy({.listen = "127.0.0.1:0"}, "a", deployed.model, "a", deployed.model),
        std::invalid_argument);
}

TEST_CASE("options out of range are refused by name") {
    const auto refusal = [](rpc::ConnectOptions options) {
        return sentence_of([&] { rpc::connect<int, int>("x", "y", std::move(options)); });
    };
    CHECK(refusal({.timeout = 0ms}) == "timeout must be more than 0, not 0 ms");
    CHECK(refusal({.calls_in_flight = 0}) == "calls_in_flight must be 1 or more, not 0");
    CHECK(refusal({.tls = rpc::Tls{.root_certificates = "none.pem"}}) ==
          "the PEM file none.pem cannot be read");
}

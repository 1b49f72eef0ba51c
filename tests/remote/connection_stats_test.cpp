// connection_stats(): what a handle's calls have met on their way.
#include "deployed.hpp"

#include <stdexcept>
#include <string>

namespace connection_stats_test {

using namespace test;
using batching::errc;
using rpc::connection_stats;

TEST_CASE("remote calls are counted, and none has failed, been repeated or lost its connection") {
    const Deployed deployed;
    auto handle = deployed.connect();
    CHECK(connection_stats(handle).calls == 0);
    CHECK(handle.process_many({1, 2, 3}).get() == std::vector{2, 4, 6});
    CHECK(handle.process(4).get() == 8);
    CHECK(handle.stats().remote);
    CHECK_FALSE(deployed.model.stats().remote);
    const auto stats = connection_stats(handle);
    CHECK(stats.calls == 2);
    CHECK(stats.repeats == 0);
    CHECK(stats.reconnects == 0);
    CHECK(stats.replicas == 1);
    for (int kind = 0; kind <= 20; ++kind) CHECK(stats.errors(static_cast<errc>(kind)) == 0);
}

TEST_CASE("items that fail are counted by the kind of their error") {
    batching::Batcher<int, int> model(
        [](const std::vector<int>& items) {
            std::vector<batching::Result<int>> results;
            for (const int item : items) {
                if (item < 0) {
                    results.emplace_back(std::make_exception_ptr(std::domain_error("negative")));
                } else {
                    results.emplace_back(item);
                }
            }
            return results;
        },
        at_once);
    const auto deployment = rpc::deploy({.listen = "127.0.0.1:0"}, "identity", model);
    auto handle = rpc::connect<int, int>(deployment.address(), "identity");
    for (const auto& result : handle.process_each({1, -1, 2, -2}).get()) (void)result;
    CHECK(connection_stats(handle).errors(errc::remote_failure) == 2);
    CHECK(connection_stats(handle).other_errors() == 0);
    CHECK(handle.stats().failed == 2);

    auto other_types = rpc::connect<int, double>(deployment.address(), "identity");
    for (const auto& result : other_types.process_each({1, 2, 3}).get()) (void)result;
    CHECK(connection_stats(other_types).errors(errc::schema_mismatch) == 3);
    CHECK(connection_stats(other_types).calls == 1);

    auto nobody = rpc::connect<int, int>(deployment.address(), "nobody");
    CHECK(call(nobody, 1).error == errc::unknown_deployment);
    CHECK(connection_stats(nobody).errors(errc::unknown_deployment) == 1);
}

TEST_CASE("what the deployment's full queue refuses counts as overloaded") {
    Deployed deployed({.max_batch_size = 1, .batch_timeout = 0ns, .max_queue_size = 1});
    deployed.doubling.hold();
    auto handle = deployed.connect();
    auto results = handle.async_process_each(std::vector<int>{1, 2, 3, 4}, aio::use_future);
    REQUIRE(deployed.doubling.called(1));
    deployed.doubling.release();
    std::size_t refused = 0;
    for (const auto& result : results.get()) refused += result.has_value() ? 0u : 1u;
    CHECK(refused != 0);
    CHECK(connection_stats(handle).errors(errc::overloaded) == refused);
}

TEST_CASE("a connection that a call finds lost, and that is made again, is a reconnect") {
    const Directory directory;
    const std::string address = "unix:" + directory.file("socket");
    Doubling doubling;
    batching::Batcher<int, int> model(doubling.function(), at_once);
    auto handle = rpc::connect<int, int>(address, "doubling");
    for (std::uint64_t lost = 0; lost < 3; ++lost) {
        {
            const auto deployment = rpc::deploy({.listen = address}, "doubling", model);
            CHECK(handle.process(21).get() == 42);
            CHECK(connection_stats(handle).reconnects == lost);
            // After its first answer a handle goes on by other connections (remote.hpp).
            CHECK(handle.process(21).get() == 42);
        }
        const std::uint64_t calls = connection_stats(handle).calls;
        CHECK_THROWS(handle.process(21, {.timeout = 100ms}).get());
        CHECK(eventually([&] { return connection_stats(handle).calls > calls; }));
    }
}

TEST_CASE("calls that nobody waits for any more have no errors") {
    Deployed deployed;
    deployed.doubling.hold();
    auto handle = deployed.connect();
    aio::cancellation_signal signal;
    auto given_up = cancellable(handle, {1, 2}, signal);
    REQUIRE(deployed.doubling.called(1));
    signal.emit(aio::cancellation_type::terminal);
    CHECK_THROWS(given_up.get());
    CHECK(eventually([&] { return connection_stats(handle).calls == 1; }));
    deployed.doubling.release();
    CHECK(handle.process(1).get() == 2);
    for (int kind = 0; kind <= 20; ++kind) {
        CHECK(connection_stats(handle).errors(static_cast<errc>(kind)) == 0);
    }
}

TEST_CASE("a Batcher that is no handle has no connection, and is told so") {
    batching::Batcher<int, int> local([](std::vector<int> items) { return items; });
    CHECK_THROWS_WITH(connection_stats(local),
                      "connection_stats() is of a handle that connect() has made; this Batcher has "
                      "a function of its own");
}

TEST_CASE("Prometheus reads what a handle has met, behind what it is as a Batcher") {
    const Deployed deployed;
    auto handle = deployed.connect();
    handle.process(1).get();
    const std::string page = rpc::to_prometheus(connection_stats(handle), "a \"b\"");
    CHECK(contains(page,
                   "# HELP batcher_remote_calls_total Remote calls that have ended.\n"
                   "# TYPE batcher_remote_calls_total counter\n"
                   "batcher_remote_calls_total{batcher=\"a \\\"b\\\"\"} 1\n"));
    CHECK(contains(
        page, "batcher_remote_errors_total{batcher=\"a \\\"b\\\"\",error=\"unavailable\"} 0\n"));
    CHECK(contains(page, "batcher_remote_replicas{batcher=\"a \\\"b\\\"\"} 1\n"));
    CHECK(page.back() == '\n');
}

}  // namespace connection_stats_test

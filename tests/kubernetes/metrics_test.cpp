#include "../../examples/kubernetes/metrics.hpp"

#include "support.hpp"

using namespace test;

namespace {

// The value of the one metric of that name and deployment.
double gauge(const BatcherMetrics& metrics, const std::string& name,
             const std::string& deployment) {
    for (const auto& family : metrics.Collect()) {
        if (family.name != name) continue;
        for (const auto& metric : family.metric) {
            if (metric.label.front().value == deployment) return metric.gauge.value;
        }
    }
    FAIL("there is no metric " << name << " of " << deployment);
    return 0;
}

}  // namespace

TEST_CASE("the gauges that an autoscaler reads are what waits and what runs now, by deployment") {
    Doubling doubling;
    doubling.hold();
    batching::Batcher<int, int> busy(doubling.function(), {.max_batch_size = 2});
    batching::Batcher<int, int> idle([](std::vector<int> items) { return items; });
    BatcherMetrics metrics;
    metrics.add("busy", busy);
    metrics.add("idle", idle);

    auto running = busy.async_process_many(std::vector<int>{1, 2}, aio::use_future);
    REQUIRE(doubling.called(1));
    auto waiting = busy.async_process_many(std::vector<int>{3, 4, 5}, aio::use_future);
    CHECK(eventually([&] { return gauge(metrics, "batcher_items_waiting", "busy") == 3; }));
    CHECK(gauge(metrics, "batcher_items_running", "busy") == 2);
    CHECK(gauge(metrics, "batcher_items_waiting", "idle") == 0);

    doubling.release();
    CHECK(waiting.get() == std::vector<int>{6, 8, 10});
    CHECK(gauge(metrics, "batcher_items_waiting", "busy") == 0);
    CHECK(running.get() == std::vector<int>{2, 4});
}

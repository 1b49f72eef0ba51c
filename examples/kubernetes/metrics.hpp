// BatcherMetrics: what Batchers do, as Prometheus reads it, by the name of their deployment.
//
//     auto metrics = std::make_shared<BatcherMetrics>();
//     metrics->add("digits", classifier);
//     prometheus::Exposer exposer("127.0.0.1:9464");
//     exposer.RegisterCollectable(metrics);
//
// A Batcher counts anyway; its stats() are read when Prometheus asks. Register it for no longer than the Batchers live.
#pragma once

#include <prometheus/client_metric.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <batcher.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

class BatcherMetrics final : public prometheus::Collectable {
public:
    // Before the first Collect().
    template <class In, class Out, class Clock>
    void add(std::string deployment, const batching::Batcher<In, Out, Clock>& batcher) {
        batchers_.push_back({std::move(deployment), [&batcher] { return batcher.stats(); }});
    }

    // Any thread.
    std::vector<prometheus::MetricFamily> Collect() const override {
        std::vector<Snapshot> all;
        for (const auto& batcher : batchers_) all.push_back({batcher.deployment, batcher.stats()});
        return {
            gauge("batcher_items_waiting", "Items that wait for a batch", all, &Stats::waiting),
            gauge("batcher_items_running", "Items in batches that run", all, &Stats::running),
            counter("batcher_items_submitted_total", "Items accepted", all, &Stats::submitted),
            counter("batcher_items_completed_total", "Items whose callers get their value", all,
                    &Stats::completed),
            counter("batcher_items_failed_total", "Items whose callers get an exception", all,
                    &Stats::failed),
            counter("batcher_items_rejected_total", "Items refused: the queue is full, or closed",
                    all, &Stats::rejected),
            counter("batcher_items_cancelled_total", "Items that nobody waits for any more", all,
                    &Stats::cancelled),
            counter("batcher_items_expired_total", "Items whose deadline passed", all,
                    &Stats::expired),
            batches("batcher_batches_total", "Batches formed, by why they left", all),
            summary("batcher_batch_items", "Items a batch", all, &Stats::batch_size),
            summary("batcher_wait_seconds", "From an item's call to its batch", all,
                    &Stats::wait_time),
            summary("batcher_run_seconds", "From forming a batch to its results", all,
                    &Stats::run_time),
        };
    }

private:
    using Stats = batching::Stats;
    using Family = prometheus::MetricFamily;
    using Metric = prometheus::ClientMetric;

    struct Source {
        std::string deployment;
        std::function<Stats()> stats;
    };
    struct Snapshot {
        std::string deployment;
        Stats stats;
    };
    using Snapshots = std::vector<Snapshot>;

    // One metric for each deployment, whose value `set` fills in.
    template <class Set>
    static Family family(std::string name, std::string help, prometheus::MetricType type,
                         const Snapshots& all, Set set) {
        Family result{std::move(name), std::move(help), type, {}};
        for (const auto& [deployment, stats] : all) {
            Metric& metric = result.metric.emplace_back();
            metric.label = {{"deployment", deployment}};
            set(metric, stats);
        }
        return result;
    }

    static Family gauge(std::string name, std::string help, const Snapshots& all,
                        std::size_t Stats::* value) {
        return family(std::move(name), std::move(help), prometheus::MetricType::Gauge, all,
                      [=](Metric& metric, const Stats& stats) {
                          metric.gauge.value = static_cast<double>(stats.*value);
                      });
    }

    static Family counter(std::string name, std::string help, const Snapshots& all,
                          std::uint64_t Stats::* value) {
        return family(std::move(name), std::move(help), prometheus::MetricType::Counter, all,
                      [=](Metric& metric, const Stats& stats) {
                          metric.counter.value = static_cast<double>(stats.*value);
                      });
    }

    // Sum and count, for rates; quantiles since the start would say little about now.
    template <class Distribution>
    static Family summary(std::string name, std::string help, const Snapshots& all,
                          Distribution Stats::* value) {
        return family(std::move(name), std::move(help), prometheus::MetricType::Summary, all,
                      [=](Metric& metric, const Stats& stats) {
                          metric.summary.sample_count = (stats.*value).count();
                          metric.summary.sample_sum = number((stats.*value).sum());
                      });
    }

    static Family batches(std::string name, std::string help, const Snapshots& all) {
        Family result{std::move(name), std::move(help), prometheus::MetricType::Counter, {}};
        const auto add = [&](const Snapshot& of, const char* reason, std::uint64_t Stats::* value) {
            Metric& metric = result.metric.emplace_back();
            metric.label = {{"deployment", of.deployment}, {"reason", reason}};
            metric.counter.value = static_cast<double>(of.stats.*value);
        };
        for (const Snapshot& snapshot : all) {
            add(snapshot, "full", &Stats::batches_full);
            add(snapshot, "timeout", &Stats::batches_timeout);
            add(snapshot, "flushed", &Stats::batches_flushed);
        }
        return result;
    }

    static double number(double items) { return items; }
    static double number(std::chrono::nanoseconds time) {
        return std::chrono::duration<double>(time).count();
    }

    std::vector<Source> batchers_;
};

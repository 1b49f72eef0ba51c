// digits_server as it runs on Kubernetes: the same deployment, and its metrics for Prometheus.
//
//     kubernetes [ADDRESS [METRICS]]    "0.0.0.0:9000" "0.0.0.0:9464" in a pod; else, if not given, a
//                                       temporary socket, and 127.0.0.1:9464
//
// METRICS is for Prometheus alone: it answers GET /metrics over HTTP, and takes no calls.
#include "../digits/address.hpp"
#include "../digits/dataset.hpp"
#include "../digits/nearest_neighbour.hpp"
#include "metrics_server.hpp"

#include <fmt/format.h>

#include <batcher.hpp>
#include <batcher/grpc.hpp>
#include <batcher/prometheus.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <span>
#include <string>

namespace {

using namespace digits;

void serve(const std::string& address, const std::string& metrics_address) {
    const Digits data = read_digits();
    const NearestNeighbour model(augmented(data.examples()));
    const auto classify = [&model](std::span<const Image> batch) { return model.classify(batch); };
    batching::Batcher classifier{classify, {.max_batch_size = 256}};

    const MetricsServer metrics(metrics_address, [&classifier] {
        return batching::to_prometheus(classifier.stats(), "digits");
    });
    auto deployment = batching::grpc::deploy({.listen = address}, "digits", classifier);
    fmt::print("\"digits\" is deployed on {}\n", deployment.address());
    fmt::print("its metrics are on port {}\n", metrics.port());
    std::fflush(stdout);
    deployment.wait();
    fmt::print("{}\n", classifier.stats());
}

}  // namespace

int main(int argc, char** argv) {
    const std::string address = argc > 1 ? argv[1] : default_address();
    const std::string metrics = argc > 2 ? argv[2] : "127.0.0.1:9464";
    if (argc > 3 || !is_address(address) || !is_address(metrics) || metrics.starts_with("unix:")) {
        fmt::print(stderr,
                   "kubernetes takes an address to listen on, and one for its metrics.\n"
                   "usage: kubernetes [unix:PATH | HOST:PORT [HOST:PORT]]\n");
        return 2;
    }
    try {
        serve(address, metrics);
        return EXIT_SUCCESS;
    } catch (const std::exception& error) {
        fmt::print(stderr, "kubernetes: {}\n", error.what());
        return EXIT_FAILURE;
    }
}

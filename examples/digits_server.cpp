// The model of the example digits, deployed: a process of its own, asked item by item from any other.
//
//     digits_server [ADDRESS]    "unix:/run/digits.sock", "0.0.0.0:9000"; a temporary socket if not given
//
// Start it, and then digits_client in other terminals, as often as you like: their images meet in its
// batches. Ctrl-C or SIGTERM: it answers what it has accepted, and prints its stats.
#include "digits/address.hpp"
#include "digits/dataset.hpp"
#include "digits/nearest_neighbour.hpp"

#include <fmt/format.h>

#include <batcher.hpp>
#include <batcher/grpc.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <span>
#include <string>

namespace {

using namespace digits;

void serve(const std::string& address) {
    const Digits data = read_digits();
    const NearestNeighbour model(augmented(data.examples()));
    const auto classify = [&model](std::span<const Image> batch) { return model.classify(batch); };

    batching::Batcher classifier{classify, {.max_batch_size = 256}};
    auto deployment = batching::grpc::deploy({.listen = address}, "digits", classifier);
    fmt::print("\"digits\" is deployed on {}\n", deployment.address());
    std::fflush(stdout);
    deployment.wait();
    fmt::print("{}\n", classifier.stats());
}

}  // namespace

int main(int argc, char** argv) {
    if (argc > 2 || (argc > 1 && !is_address(argv[1]))) {
        fmt::print(stderr,
                   "digits_server takes one address, to listen on.\n"
                   "usage: digits_server [unix:PATH | HOST:PORT]\n");
        return 2;
    }
    try {
        serve(argc > 1 ? argv[1] : default_address());
        return EXIT_SUCCESS;
    } catch (const std::exception& error) {
        fmt::print(stderr, "digits_server: {}\n", error.what());
        return EXIT_FAILURE;
    }
}

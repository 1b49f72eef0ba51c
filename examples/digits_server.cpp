// The model of the example digits, deployed: a process of its own, asked item by item from any other.
//
//     digits_server [ADDRESS [MAX_BATCH_SIZE]]    "unix:/run/digits.sock", "0.0.0.0:9000"; a temporary socket if not given
//
// Start it, and then digits_client in other terminals, as often as you like: their images meet in its
// batches. Ctrl-C or SIGTERM: it answers what it has accepted, and prints its stats.
#include "digits/address.hpp"
#include "digits/dataset.hpp"
#include "digits/nearest_neighbour.hpp"

#include <fmt/format.h>

#include <batcher.hpp>
#include <batcher/grpc.hpp>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <span>
#include <string>

namespace {

using namespace digits;

void serve(const std::string& address, std::size_t max_batch_size) {
    const Digits data = read_digits();
    const NearestNeighbour model(augmented(data.examples()));
    // --8<-- [start:deploy]
    const auto classify = [&model](std::span<const Image> batch) { return model.classify(batch); };

    batching::Batcher classifier{classify, {.max_batch_size = max_batch_size}};
    auto deployment = batching::grpc::deploy({.listen = address}, "digits", classifier);
    fmt::print("\"digits\" is deployed on {}\n", deployment.address());
    std::fflush(stdout);
    deployment.wait();
    // --8<-- [end:deploy]
    fmt::print("{}\n", classifier.stats());
}

}  // namespace

int main(int argc, char** argv) {
    const std::size_t size = argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 256;
    if (argc > 3 || (argc > 1 && !is_address(argv[1])) || size == 0) {
        fmt::print(stderr,
                   "digits_server takes an address to listen on, and the most images of a batch.\n"
                   "usage: digits_server [unix:PATH | HOST:PORT [MAX_BATCH_SIZE]]\n");
        return 2;
    }
    try {
        serve(argc > 1 ? argv[1] : default_address(), size);
        return EXIT_SUCCESS;
    } catch (const std::exception& error) {
        fmt::print(stderr, "digits_server: {}\n", error.what());
        return EXIT_FAILURE;
    }
}

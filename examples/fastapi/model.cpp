// The models of the web application in app.py: two deployments on one server, in a process of their own.
//
//     fastapi_model ADDRESS...    "unix:/run/models.sock", "0.0.0.0:9000"
//
// "square_root" tells each caller how many workers of the web application met in its batch.
#include "../digits/address.hpp"
#include "../digits/dataset.hpp"
#include "../digits/nearest_neighbour.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <batcher.hpp>
#include <batcher/grpc.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace digits;
using namespace std::chrono_literals;

// In MessagePack, and so in Python: {"number": 9.0, "worker": 4711}.
struct Question {
    double number = 0;
    int worker = 0;  // the process that asks; only to show that batches mix them
    MSGPACK_DEFINE_MAP(number, worker)
};

struct Answer {
    double root = 0;
    std::size_t batch_items = 0;
    std::size_t batch_workers = 0;
    MSGPACK_DEFINE_MAP(root, batch_items, batch_workers)
};

std::vector<batching::Result<Answer>> square_roots(std::span<const Question> batch) {
    std::set<int> workers;
    for (const Question& question : batch) workers.insert(question.worker);

    std::vector<batching::Result<Answer>> answers;
    answers.reserve(batch.size());
    for (const Question& question : batch) {
        if (question.number >= 0) {
            answers.emplace_back(Answer{std::sqrt(question.number), batch.size(), workers.size()});
        } else {  // fails alone; the others of its batch get their answers
            const auto sentence = fmt::format("{} has no square root", question.number);
            answers.emplace_back(std::make_exception_ptr(std::domain_error(sentence)));
        }
    }
    return answers;
}

void serve(const std::vector<std::string>& addresses) {
    const Digits data = read_digits();
    const NearestNeighbour model(augmented(data.examples()));
    const auto classify = [&model](std::span<const Image> batch) { return model.classify(batch); };

    batching::Batcher square_root{square_roots, {.max_batch_size = 64, .batch_timeout = 5ms}};
    batching::Batcher classifier{classify, {.max_batch_size = 256}};
    auto deployment = batching::grpc::deploy({.listen = addresses}, "square_root", square_root,
                                             "digits", classifier);
    fmt::print("\"square_root\" and \"digits\" are deployed on {}\n", deployment.address());
    std::fflush(stdout);
    deployment.wait();
    fmt::print("\nsquare_root\n{}\n\ndigits\n{}\n", square_root.stats(), classifier.stats());
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> addresses(argv + 1, argv + argc);
    if (addresses.empty() || !std::all_of(addresses.begin(), addresses.end(), is_address)) {
        fmt::print(stderr,
                   "fastapi_model takes addresses to listen on.\n"
                   "usage: fastapi_model {{unix:PATH | HOST:PORT}}...\n");
        return 2;
    }
    try {
        serve(addresses);
        return EXIT_SUCCESS;
    } catch (const std::exception& error) {
        fmt::print(stderr, "fastapi_model: {}\n", error.what());
        return EXIT_FAILURE;
    }
}

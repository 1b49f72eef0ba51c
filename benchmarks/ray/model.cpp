// The model of the table ray in C++, deployed: ray_model ADDRESS. It is that of models.py.
#include "scorer.hpp"

#include <batcher.hpp>
#include <batcher/grpc.hpp>
#include <cstdio>
#include <span>
#include <vector>

namespace {

std::vector<float> score(std::span<const bench::Features> items) {
    std::vector<float> scores;
    scores.reserve(items.size());
    for (const bench::Features& features : items) {
        float sum = 0;
        for (std::size_t i = 0; i < features.size(); ++i) sum += features[i] * bench::weights()[i];
        scores.push_back(sum);
    }
    return scores;
}

}  // namespace

int main(int, char** argv) {
    batching::Batcher scorer{score, {.max_batch_size = 1024, .batch_timeout = {}}};
    auto deployment = batching::grpc::deploy({.listen = argv[1]}, "scorer", scorer);
    std::printf("%s\n", deployment.address().c_str());
    std::fflush(stdout);
    deployment.wait();
}

// Handwritten digits, recognised in batches.
//
//     digits [SECONDS]    seconds measured per row of the table, 3 if not given
//
// Many coroutines each ask for ONE digit at a time (client() in load.cpp); a nearest-neighbour
// classifier answers a whole batch with one matrix product (nearest_neighbour.cpp). This file runs
// the same load without batching and with it, and prints the difference.
#include "dataset.hpp"
#include "load.hpp"
#include "nearest_neighbour.hpp"
#include "terminal.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <span>
#include <vector>

namespace {

using namespace digits;

constexpr int clients = 256;

NearestNeighbour trained_on(std::span<const Sample> samples) {
    NearestNeighbour model(augmented(samples));
    fmt::print(
        "Nearest neighbour among {} examples: {} digits, each shifted and rotated in {} ways.\n",
        model.examples(), samples.size(), model.examples() / samples.size());
    return model;
}

void print_table(std::span<const Load> loads, std::span<const Measured> results) {
    fmt::print("\n{:<24} {:>8} {:>10} {:>10} {:>11} {:>8}\n", fmt::format("{} clients", clients),
               "calls/s", "p50, ms", "p99, ms", "mean batch", "right");
    for (std::size_t i = 0; i < loads.size(); ++i) {
        const Measured& m = results[i];
        fmt::print("{:<24} {:>8.0f} {:>10.1f} {:>10.1f} {:>11.1f} {:>7.1f}%\n", loads[i].name,
                   m.calls_per_second, m.p50.count(), m.p99.count(), m.mean_batch_size(),
                   100.0 * static_cast<double>(m.right) / static_cast<double>(m.asked));
    }
}

void print_comparison(const Measured& without, const Measured& with) {
    fmt::print(
        "\nBatching answers {:.1f} times as many calls; half of them take less than {:.0f} ms, "
        "not {:.0f} ms.\n",
        with.calls_per_second / without.calls_per_second, with.p50.count(), without.p50.count());
}

void print_lone(const Measured& without, const Measured& with) {
    fmt::print(
        "A lone client, whose batch nobody joins within its batch_timeout of 1 ms: {:.1f} ms with, "
        "{:.1f} ms without.\n",
        with.p50.count(), without.p50.count());
}

// One bar for each range of sizes, from the smallest that occurred to the largest.
void print_batch_sizes(const Load& load, const Measured& result) {
    constexpr std::size_t range = 8;
    std::vector<std::size_t> batches(load.options.max_batch_size / range + 1);
    for (std::size_t size = 1; size < result.batches_of_size.size(); ++size) {
        batches[(size - 1) / range] += result.batches_of_size[size];
    }
    const auto occurred = [](std::size_t n) { return n > 0; };
    const auto first = std::find_if(batches.begin(), batches.end(), occurred);
    const auto last = std::find_if(batches.rbegin(), batches.rend(), occurred).base();
    if (first == batches.end()) return;
    const std::size_t most = *std::max_element(first, last);

    fmt::print("\nBatch sizes, {}: while a batch runs, the next one gathers.\n\n", load.name);
    for (auto n = first; n != last; ++n) {
        const auto smallest = static_cast<std::size_t>(n - batches.begin()) * range + 1;
        fmt::print("{:>4} to {:<3} {:>5} {}\n", smallest, smallest + range - 1, *n, bar(*n, most));
    }
}

void compare(std::chrono::duration<double> seconds) {
    const Digits digits = read_digits();
    const NearestNeighbour model = trained_on(digits.examples());
    const auto run_all = [&](std::span<const Load> loads) {
        std::vector<Measured> results;
        for (const Load& load : loads) results.push_back(measure(load, model, digits.questions()));
        return results;
    };

    using std::chrono::milliseconds;
    const std::array many = {
        Load{"without batching", clients, {.max_batch_size = 1}, seconds},
        Load{"batches of up to 64", clients, {.max_batch_size = 64}, seconds},
        Load{"latency_target of 200 ms",
             clients,
             {.max_batch_size = 256, .latency_target = milliseconds(200)},
             seconds},
        Load{"batches of up to 256", clients, {.max_batch_size = 256}, seconds}};
    const std::array lone = {Load{"without batching", 1, {.max_batch_size = 1}, seconds / 3},
                             Load{"batches of up to 256", 1, {.max_batch_size = 256}, seconds / 3}};
    const std::vector<Measured> of_many = run_all(many);
    const std::vector<Measured> of_lone = run_all(lone);

    print_table(many, of_many);
    print_comparison(of_many.front(), of_many.back());
    print_lone(of_lone.front(), of_lone.back());
    print_batch_sizes(many.back(), of_many.back());
}

// 0 if the text is not a number of seconds, from a hundredth to an hour.
double seconds_in(const char* text) {
    char* end = nullptr;
    const double seconds = std::strtod(text, &end);
    return *end == '\0' && seconds >= 0.01 && seconds <= 3600 ? seconds : 0;
}

}  // namespace

int main(int argc, char** argv) {
    const double seconds = seconds_in(argc > 1 ? argv[1] : "3");
    if (argc > 2 || seconds == 0) {
        fmt::print(stderr,
                   "digits takes a number of seconds, from 0.01 to 3600.\n"
                   "usage: digits [SECONDS]\n");
        return 2;
    }
    try {
        compare(std::chrono::duration<double>(seconds));
        return EXIT_SUCCESS;
    } catch (const std::exception& error) {
        fmt::print(stderr, "digits: {}\n", error.what());
        return EXIT_FAILURE;
    }
}

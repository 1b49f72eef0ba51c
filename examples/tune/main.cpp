// Tune: what other options would have done for calls that came, as somebody wrote them down.
//
//     tune TRACE.csv FIXED PER_ITEM TARGET [SLOTS [DEVIATION]]
//     tune trace.csv 5ms 1.05ms 25ms 2 10
//
// A batch of n items takes FIXED + n * PER_ITEM, give or take DEVIATION percent; batcher.stats() says what that is once
// it has learnt it. A call is in time if it is done within TARGET, or within its own timeout if that is shorter.
#include "simulation.hpp"
#include "trace.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <batcher.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <future>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using namespace tune;

struct Setting {
    std::string name;
    batching::Options options;
};

struct Question {
    Cost cost{};
    Time target{};
    std::size_t slots = 1;
};

std::string shown(Time time) {
    return fmt::format("{:.2f}", static_cast<double>(time.count()) / 1e6);
}

// The target alone, then settings by hand.
std::vector<Setting> settings_for(const Question& question) {
    std::vector<Setting> settings;
    batching::Options options{.max_batch_size = 256, .max_concurrent_batches = question.slots};
    options.latency_target = question.target;
    settings.push_back({fmt::format("latency_target = {} ms", shown(question.target)), options});
    options.latency_target = batching::no_timeout;
    for (const std::size_t size : std::vector<std::size_t>{8, 32, 128}) {
        for (const Time wait : {Time(0), question.target / 20, question.target / 4}) {
            options.max_batch_size = size;
            options.batch_timeout = wait;
            settings.push_back({fmt::format("{:>3} items, {} ms", size, shown(wait)), options});
        }
    }
    return settings;
}

std::vector<Outcome> simulate_all(const std::vector<Arrival>& trace, const Question& question,
                                  const std::vector<Setting>& settings) {
    std::vector<Outcome> outcomes(settings.size());
    std::atomic<std::size_t> next{0};
    const auto work = [&] {
        for (std::size_t i = next++; i < settings.size(); i = next++) {
            outcomes[i] = simulate(trace, question.cost, settings[i].options, question.target);
        }
    };
    std::vector<std::future<void>> others;
    for (unsigned i = 1; i < std::thread::hardware_concurrency(); ++i) {
        others.push_back(std::async(std::launch::async, work));
    }
    work();
    for (auto& other : others) other.get();
    return outcomes;
}

void print_table(const std::vector<Setting>& settings, const std::vector<Outcome>& outcomes) {
    fmt::print("{:<28} {:>8} {:>10} {:>10} {:>7} {:>11}\n", "setting", "in time", "p50, ms",
               "p99, ms", "busy", "mean batch");
    for (std::size_t i = 0; i < settings.size(); ++i) {
        const Outcome& o = outcomes[i];
        fmt::print("{:<28} {:>7.2f}% {:>10} {:>10} {:>6.1f}% {:>11.1f}\n", settings[i].name,
                   100 * o.in_time, shown(o.p50), shown(o.p99), 100 * o.busy, o.mean_batch);
    }
}

// Of the settings by hand, the one with the most in time; if several have as good as that, the one that takes least.
std::size_t best_by_hand(const std::vector<Outcome>& outcomes) {
    double most = 0;
    for (std::size_t i = 1; i < outcomes.size(); ++i) most = std::max(most, outcomes[i].in_time);
    std::size_t best = 0;
    for (std::size_t i = 1; i < outcomes.size(); ++i) {
        if (outcomes[i].in_time < most - 0.001) continue;
        if (best == 0 || outcomes[i].busy < outcomes[best].busy) best = i;
    }
    return best;
}

void print_choice(const std::vector<Setting>& settings, const std::vector<Outcome>& outcomes) {
    const std::size_t best = best_by_hand(outcomes);
    const double gain = outcomes[best].in_time - outcomes[0].in_time;
    fmt::print("\nBy hand: {}, with {:.2f} % in time. latency_target alone: {:.2f} %.\n",
               settings[best].name, 100 * outcomes[best].in_time, 100 * outcomes[0].in_time);
    fmt::print("{}\n",
               gain > 0.005
                   ? "Here a setting by hand is worth it, as long as the load stays as it was."
                   : "A setting by hand gains nothing worth the time.");
}

// ---- arguments ---------------------------------------------------------------------------------------------

std::optional<double> number_in(const std::string& text) {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0' || !std::isfinite(value)) return std::nullopt;
    return value;
}

// As 5ms, 300us, 0.2s or 0.
std::optional<Time> time_in(const std::string& text) {
    struct Unit {
        std::string_view name;
        double nanoseconds;
    };
    constexpr std::array units{Unit{"ns", 1}, Unit{"us", 1e3}, Unit{"ms", 1e6}, Unit{"s", 1e9}};
    if (text == "0") return Time(0);
    for (const Unit& unit : units) {
        if (!std::string_view(text).ends_with(unit.name)) continue;
        const auto value = number_in(text.substr(0, text.size() - unit.name.size()));
        if (!value) continue;
        const double time = *value * unit.nanoseconds;
        if (time < 0 || time > 1e15) return std::nullopt;
        return Time(static_cast<Time::rep>(time));
    }
    return std::nullopt;
}

std::optional<Question> question_in(int argc, char** argv) {
    if (argc < 5 || argc > 7) return std::nullopt;
    const auto fixed = time_in(argv[2]);
    const auto per_item = time_in(argv[3]);
    const auto target = time_in(argv[4]);
    const auto slots = number_in(argc > 5 ? argv[5] : "1");
    const auto deviation = number_in(argc > 6 ? argv[6] : "0");
    if (!fixed || !per_item || !target || *target == Time(0)) return std::nullopt;
    if (!slots || *slots < 1 || *slots > 1'000 || !deviation || *deviation < 0 || *deviation > 100)
        return std::nullopt;
    return Question{
        {*fixed, *per_item, *deviation / 100}, *target, static_cast<std::size_t>(*slots)};
}

}  // namespace

int main(int argc, char** argv) {
    const auto question = question_in(argc, argv);
    if (!question) {
        fmt::print(
            stderr,
            "tune takes a trace, what a batch takes, and the latency that is good enough.\n"
            "The trace has a line for each call: its time in seconds, since any moment; then, if "
            "you like, its weight and its timeout in seconds.\n"
            "usage: tune TRACE.csv FIXED PER_ITEM TARGET [SLOTS [DEVIATION]]\n"
            "       tune trace.csv 5ms 1.05ms 25ms 2 10\n");
        return 2;
    }
    try {
        const std::vector<Arrival> trace = read_trace(argv[1]);
        fmt::print("{} calls in {:.1f} s\n\n", trace.size(),
                   static_cast<double>(trace.back().at.count()) / 1e9);
        const std::vector<Setting> settings = settings_for(*question);
        const std::vector<Outcome> outcomes = simulate_all(trace, *question, settings);
        print_table(settings, outcomes);
        print_choice(settings, outcomes);
        return EXIT_SUCCESS;
    } catch (const std::exception& error) {
        fmt::print(stderr, "tune: {}\n", error.what());
        return EXIT_FAILURE;
    }
}

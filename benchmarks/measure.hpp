// Measuring: contenders run interleaved in one process, medians, ratios to a floor, tables and CSV files.
//
//     Sheet sheet(settings, "cost", {"callers", "max_batch_size"}, {{"cost", "ns"}});
//     Results results = sheet.measure("1,000 callers, batches of 64", {"1000", "64"}, contenders);
//
// A machine changes its speed and has other things to do, so figures of different runs, or of the same
// run minutes apart, do not compare. Here every contender runs once in a round, each round starts with
// another one, and rounds in which other programs took much of the machine are replaced.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace bench {

using Clock = std::chrono::steady_clock;
using Nanoseconds = std::chrono::nanoseconds;

inline double nanoseconds_between(Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration<double, std::nano>(to - from).count();
}

// Keeps how long it lived, in nanoseconds.
class Stopwatch {
public:
    explicit Stopwatch(double& nanoseconds) : nanoseconds_(nanoseconds) {}
    ~Stopwatch() { nanoseconds_ = nanoseconds_between(start_, Clock::now()); }
    Stopwatch(const Stopwatch&) = delete;
    Stopwatch& operator=(const Stopwatch&) = delete;

private:
    double& nanoseconds_;
    Clock::time_point start_ = Clock::now();
};

// ---- processors -----------------------------------------------------------------------------------------

// The processors this program may use. Asked once, before any thread is pinned.
inline const std::vector<int>& processors() {
    static const std::vector<int> allowed = [] {
        std::vector<int> found;
#if defined(__linux__)
        cpu_set_t set;
        CPU_ZERO(&set);
        if (sched_getaffinity(0, sizeof set, &set) == 0) {
            for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
                if (CPU_ISSET(cpu, &set)) found.push_back(cpu);
            }
        }
#endif
        return found;
    }();
    return allowed;
}

// Keeps this thread on the n-th processor (modulo their number), where that is possible.
inline void pin_this_thread([[maybe_unused]] std::size_t n) {
#if defined(__linux__)
    const auto& allowed = processors();
    if (allowed.empty()) return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(allowed[n % allowed.size()], &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
#endif
}

// Lets this thread, and those it starts from now on, run on all of them again.
inline void unpin_this_thread() {
#if defined(__linux__)
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const int cpu : processors()) CPU_SET(cpu, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
#endif
}

// This thread, and those it starts meanwhile, on the n-th processor; then back on the first.
class Pinned {
public:
    explicit Pinned(std::size_t n) { pin_this_thread(n); }
    ~Pinned() { pin_this_thread(0); }
    Pinned(const Pinned&) = delete;
    Pinned& operator=(const Pinned&) = delete;
};

// The processor time that this program's other processes have taken so far; a benchmark that starts some
// says how much that is.
inline std::function<double()>& seconds_of_helpers() {
    static std::function<double()> seconds = [] { return 0.0; };
    return seconds;
}

// How much of the machine other programs (and the hypervisor) take, where the system tells.
class Neighbours {
public:
    // The fraction of all processors' time since this was made.
    double share() const {
        const double elapsed = std::chrono::duration<double>(Clock::now() - since_).count();
        const double all = elapsed * std::max(1u, std::thread::hardware_concurrency());
        const double theirs = (busy_seconds() - busy_) - (own_seconds() - own_);
        return std::clamp(theirs / all, 0.0, 1.0);
    }

private:
    static double own_seconds() {
        return static_cast<double>(std::clock()) / static_cast<double>(CLOCKS_PER_SEC) +
               seconds_of_helpers()();
    }
    // The first line of /proc/stat: cpu user nice system idle iowait irq softirq steal, in 1/100 s.
    static double busy_seconds() {
        std::ifstream file("/proc/stat");
        std::string cpu;
        double user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0,
               steal = 0;
        file >> cpu >> user >> nice >> system >> idle >> iowait >> irq >> softirq >> steal;
        return (user + nice + system + irq + softirq + steal) / 100;
    }

    Clock::time_point since_ = Clock::now();
    double own_ = own_seconds();
    double busy_ = busy_seconds();
};

// ---- settings: the command line of every benchmark program ------------------------------------------------

struct Settings {
    bool quick = false;             // a few seconds, to see that everything still runs
    std::filesystem::path results;  // a directory, for CSV files; empty: none are written
    std::size_t rounds = 9;
    std::chrono::milliseconds run_time{100};  // about, of one contender in one round
};

// PROGRAM [--quick] [--results DIRECTORY]
inline Settings settings_from(int argc, char** argv) {
    Settings settings;
    for (int i = 1; i < argc; ++i) {
        const std::string_view argument = argv[i];
        if (argument == "--quick") {
            settings.quick = true;
            settings.rounds = 3;
            settings.run_time = std::chrono::milliseconds(4);
        } else if (argument == "--results" && i + 1 < argc) {
            settings.results = argv[++i];
            std::filesystem::create_directories(settings.results);
        } else {
            fmt::print(stderr, "usage: {} [--quick] [--results DIRECTORY]\n", argv[0]);
            std::exit(2);
        }
    }
    processors();
    pin_this_thread(0);
    return settings;
}

// ---- figures ----------------------------------------------------------------------------------------------

struct Figures {
    double median = 0;
    double min = 0;
    double max = 0;
};

inline Figures figures_of(std::vector<double> samples) {
    std::sort(samples.begin(), samples.end());
    return {samples[samples.size() / 2], samples.front(), samples.back()};
}

// The smallest of the values that at least the fraction q does not exceed. Sorts them.
inline double quantile(std::vector<double>& values, double q) {
    if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
    std::sort(values.begin(), values.end());
    const auto rank = static_cast<std::size_t>(q * static_cast<double>(values.size()));
    return values[std::min(values.size() - 1, rank)];
}

// One thing that is measured; a run gives one figure for each metric of its sheet.
struct Contender {
    std::string arrangement;  // contenders of one arrangement of threads are shown together,
    std::string name;         // with their ratio to the first of them
    std::function<std::vector<double>()> run;
};

struct Measured {
    std::string arrangement;
    std::string name;
    std::vector<Figures> figures;  // of each metric
    double ratio = 1;              // of the first metric, to the first contender of the arrangement
};

class Results {
public:
    explicit Results(std::vector<Measured> rows, double neighbours)
        : rows_(std::move(rows)), neighbours_(neighbours) {}

    const std::vector<Measured>& rows() const { return rows_; }
    double neighbours() const { return neighbours_; }  // what other programs took of the machine

    const Measured& at(std::string_view arrangement, std::string_view name) const {
        for (const Measured& row : rows_) {
            if (row.arrangement == arrangement && row.name == name) return row;
        }
        throw std::out_of_range(fmt::format("nothing measured as {}, {}", arrangement, name));
    }
    double median(std::string_view arrangement, std::string_view name,
                  std::size_t metric = 0) const {
        return at(arrangement, name).figures[metric].median;
    }

private:
    std::vector<Measured> rows_;
    double neighbours_;
};

// ---- interleaved runs -----------------------------------------------------------------------------------

struct Round {
    double neighbours = 0;
    std::vector<std::vector<double>> samples;  // of each contender, each metric
};

inline Round run_round(const std::vector<Contender>& contenders, std::size_t number) {
    Round round;
    round.samples.resize(contenders.size());
    const Neighbours neighbours;
    for (std::size_t i = 0; i < contenders.size(); ++i) {
        const std::size_t which = (i + number) % contenders.size();
        round.samples[which] = contenders[which].run();
        pin_this_thread(0);
    }
    round.neighbours = neighbours.share();
    return round;
}

// As many rounds as the settings say; a round in which others took more than a twentieth of the machine
// is repeated, up to twice as many in all, and the quietest are kept.
inline std::vector<Round> quiet_rounds(const std::vector<Contender>& contenders,
                                       const Settings& settings) {
    constexpr double disturbance = 0.05;
    std::vector<Round> rounds;
    std::size_t quiet = 0;
    for (std::size_t n = 0; quiet < settings.rounds && n < 2 * settings.rounds; ++n) {
        rounds.push_back(run_round(contenders, n));
        if (settings.quick || rounds.back().neighbours < disturbance) ++quiet;
    }
    std::sort(rounds.begin(), rounds.end(),
              [](const Round& a, const Round& b) { return a.neighbours < b.neighbours; });
    rounds.resize(settings.rounds);
    return rounds;
}

inline Results interleave(const std::vector<Contender>& contenders, const Settings& settings) {
    const std::vector<Round> rounds = quiet_rounds(contenders, settings);
    std::vector<Measured> rows;
    for (std::size_t i = 0; i < contenders.size(); ++i) {
        Measured row{contenders[i].arrangement, contenders[i].name, {}, 1};
        for (std::size_t metric = 0; metric < rounds.front().samples[i].size(); ++metric) {
            std::vector<double> samples;
            for (const Round& round : rounds) samples.push_back(round.samples[i][metric]);
            row.figures.push_back(figures_of(std::move(samples)));
        }
        const auto floor = std::find_if(rows.begin(), rows.end(), [&](const Measured& other) {
            return other.arrangement == row.arrangement;
        });
        if (floor != rows.end()) row.ratio = row.figures[0].median / floor->figures[0].median;
        rows.push_back(std::move(row));
    }
    return Results(std::move(rows), rounds[rounds.size() / 2].neighbours);
}

// ---- tables and CSV files ---------------------------------------------------------------------------------

struct Metric {
    std::string name;
    std::string unit;
};

// A table of several blocks of the same kind, and its CSV file.
class Sheet {
public:
    Sheet(const Settings& settings, const std::string& name,
          const std::vector<std::string>& parameters, std::vector<Metric> metrics)
        : settings_(settings), metrics_(std::move(metrics)) {
        if (settings.results.empty()) return;
        csv_.open(settings.results / (name + ".csv"));
        for (const auto& parameter : parameters) csv_ << parameter << ',';
        csv_ << "arrangement,contender,metric,unit,ratio,median,min,max\n";
    }

    // Runs the contenders interleaved; prints and writes what came out. `values`: of the parameters.
    Results measure(const std::string& title, const std::vector<std::string>& values,
                    const std::vector<Contender>& contenders) {
        Results results = interleave(contenders, settings_);
        print(title, results);
        for (const Measured& row : results.rows()) write(values, row);
        csv_.flush();
        return results;
    }

private:
    void print(const std::string& title, const Results& results) const {
        fmt::print("\n{}\n   ratio", title);
        for (const Metric& metric : metrics_) {
            fmt::print(" {:>10} {:>10} {:>10} {:<4}", metric.name, "min", "max", metric.unit);
        }
        fmt::print("\n");
        std::string arrangement;
        for (const Measured& row : results.rows()) {
            if (row.arrangement != arrangement) fmt::print("  {}\n", row.arrangement);
            arrangement = row.arrangement;
            fmt::print("{:>8.2f}", row.ratio);
            for (const Figures& f : row.figures) {
                fmt::print(" {:>10.1f} {:>10.1f} {:>10.1f}     ", f.median, f.min, f.max);
            }
            fmt::print("  {}\n", row.name);
        }
        if (!settings_.quick) {
            fmt::print("  (other programs took {:.0f} % of the machine)\n",
                       100 * results.neighbours());
        }
        std::fflush(stdout);
    }

    void write(const std::vector<std::string>& values, const Measured& row) {
        if (!csv_.is_open()) return;
        for (std::size_t i = 0; i < row.figures.size(); ++i) {
            for (const auto& value : values) csv_ << value << ',';
            csv_ << fmt::format("\"{}\",\"{}\",{},{},{:.3f},{:.2f},{:.2f},{:.2f}\n",
                                row.arrangement, row.name, metrics_[i].name, metrics_[i].unit,
                                row.ratio, row.figures[i].median, row.figures[i].min,
                                row.figures[i].max);
        }
    }

    Settings settings_;
    std::vector<Metric> metrics_;
    std::ofstream csv_;
};

// ---- budgets ------------------------------------------------------------------------------------------

// Collects how what was measured compares with what is asked for; says so at the end.
class Budgets {
public:
    // `known`: budgets of which it is known that they are missed.
    Budgets(const Settings& settings, const std::string& table, std::set<std::string> known = {})
        : known_(std::move(known)) {
        if (!settings.results.empty()) file_.open(settings.results / (table + "_budgets.csv"));
        if (file_.is_open()) file_ << "budget,measured,limit,met\n";
    }

    void at_most(const std::string& what, double measured, double limit) {
        say(what, measured, "at most", limit, measured <= limit);
    }
    void at_least(const std::string& what, double measured, double limit) {
        say(what, measured, "at least", limit, measured >= limit);
    }

    void print() const {
        if (!lines_.empty()) fmt::print("\nbudgets\n");
        for (const auto& line : lines_) fmt::print("{}\n", line);
    }

    std::size_t size() const { return lines_.size(); }
    std::size_t newly_missed() const { return newly_missed_; }
    bool is_known(const std::string& what) const { return known_.count(what) != 0; }

private:
    void say(const std::string& what, double measured, const char* bound, double limit, bool met) {
        const char* note = "";
        if (is_known(what)) note = met ? "  (no longer missed)" : "  (known)";
        if (!met && !is_known(what)) ++newly_missed_;
        lines_.push_back(fmt::format("{:<8} {:>8.2f}  ({} {:g})  {}{}", met ? "met" : "NOT MET",
                                     measured, bound, limit, what, note));
        if (file_.is_open()) {
            file_ << fmt::format("\"{}\",{:.3f},{} {:g},{}\n", what, measured, bound, limit,
                                 met ? "met" : "not met");
        }
    }

    std::set<std::string> known_;
    std::size_t newly_missed_ = 0;
    std::vector<std::string> lines_;
    std::ofstream file_;
};

inline std::string with_commas(std::size_t n) {
    std::string digits = std::to_string(n);
    for (std::size_t i = digits.size(); i > 3;) digits.insert(i -= 3, 1, ',');
    return digits;
}

}  // namespace bench

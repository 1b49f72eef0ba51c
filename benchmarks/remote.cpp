// Table 6: another process. Callers of one program, and a function that runs in another one: this library's
// handle against a plain gRPC call for each item; four such programs against one deployment; and one program
// with several replicas.
//
// It starts its servers, and the programs that call them, itself: as this program with other arguments.
#include <stdlib.h>

#include <algorithm>
#include <asio.hpp>
#include <atomic>
#include <child_process.hpp>
#include <chrono>
#include <competitors/remote/handle.hpp>
#include <competitors/remote/plain_client.hpp>
#include <competitors/remote/plain_server.hpp>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <load.hpp>
#include <map>
#include <measure.hpp>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace bench;
using namespace std::chrono_literals;

namespace {

// ---- the servers: remote --serve plain|deployment|replica MICROSECONDS ADDRESS... -------------------

// What all of them batch by. What costs nothing waits for nobody, else a lone caller would wait.
batching::Options options_of_servers(std::chrono::nanoseconds per_call) {
    if (per_call.count() == 0) return {.max_batch_size = 1024, .batch_timeout = 0ns};
    return {.max_batch_size = 256, .batch_timeout = 1ms};
}

void say(const std::vector<std::string>& addresses) {
    for (const auto& address : addresses) fmt::print("{}\n", address);
    std::fflush(stdout);
}

template <class AnyQuestion>
auto served(std::chrono::nanoseconds per_call, const batching::Options& options) {
    using AnyAnswer = typename AnswerTo<AnyQuestion>::type;
    const auto function = [all = AnswerAll(per_call)](const std::vector<AnyQuestion>& questions) {
        return all(questions);
    };
    return batching::Batcher<AnyQuestion, AnyAnswer>(function, options);
}

int serve(const std::string& what, std::chrono::nanoseconds per_call,
          const std::vector<std::string>& addresses) {
    dies_with_parent();
    prctl(PR_SET_TIMERSLACK, 1);
    if (what == "plain") {
        const PlainServer server(addresses, AnswerAll(per_call), options_of_servers(per_call));
        say(server.addresses());
        for (;;) pause();  // until a signal ends it
    }
    // A replica has the options that a Batcher has by itself.
    const batching::Options options =
        what == "replica" ? batching::Options() : options_of_servers(per_call);
    auto packed = served<Question>(per_call, options);
    auto raw = served<RawQuestion>(per_call, options);
    auto deployment = batching::grpc::deploy({.listen = addresses}, "msgpack", packed, "raw", raw);
    say(deployment.addresses());
    deployment.wait();
    return 0;
}

class ServerProcess {
public:
    ServerProcess(const std::string& what, std::chrono::microseconds per_call,
                  const std::filesystem::path& directory)
        : process_({"--serve", what, std::to_string(per_call.count()),
                    "unix:" + (directory / (what + std::to_string(per_call.count()))).string(),
                    "127.0.0.1:0"}),
          unix_(process_.line()),
          tcp_(process_.line()) {}

    pid_t pid() const noexcept { return process_.pid(); }
    const std::string& unix_socket() const noexcept { return unix_; }
    const std::string& tcp() const noexcept { return tcp_; }

private:
    ChildProcess process_;
    std::string unix_;
    std::string tcp_;
};

// ---- closed loops -----------------------------------------------------------------------------------------

// What came out of one of them.
struct Sample {
    double items = 0;
    double seconds = 0;
    double client_cpu = 0;  // seconds
    double server_cpu = 0;
    double p50 = 0;  // us
    double p99 = 0;

    double rate() const { return items / seconds / 1e3; }
    double cpu() const { return (client_cpu + server_cpu) / items * 1e6; }
};

struct Load {
    std::size_t in_flight = 1;
    std::chrono::milliseconds warm_up{50};
    std::chrono::milliseconds time{300};
    pid_t server = 0;  // 0: none
};

// Callers call again and again. What ends within a window counts.
class Loop {
public:
    explicit Loop(const Load& load) : load_(load), callers_(load.in_flight) {}

    // Starts the callers by `start(i)` and waits for their end.
    template <class Start>
    Sample run(Start start) {
        for (std::size_t i = 0; i < load_.in_flight; ++i) start(i);
        std::this_thread::sleep_for(load_.warm_up);
        Sample sample;
        const double client = cpu_seconds_of(getpid());
        const double server = cpu_of_server();
        const auto began = Clock::now();
        counting_.store(true);
        std::this_thread::sleep_for(load_.time);
        counting_.store(false);
        sample.seconds = nanoseconds_between(began, Clock::now()) / 1e9;
        sample.client_cpu = cpu_seconds_of(getpid()) - client;
        sample.server_cpu = cpu_of_server() - server;
        over_.store(true);
        while (ended_.load() != load_.in_flight) std::this_thread::sleep_for(1ms);
        return with_latencies(sample);
    }

    // In a caller:
    bool over() const noexcept { return over_.load(std::memory_order_relaxed); }
    void record(std::size_t caller, Clock::time_point from, Clock::time_point to) {
        if (!counting_.load(std::memory_order_relaxed)) return;
        callers_[caller].latencies.push_back(nanoseconds_between(from, to) / 1e3);
    }
    void caller_ends() noexcept { ended_.fetch_add(1); }

private:
    struct alignas(64) Caller {
        std::vector<double> latencies;  // us
    };

    double cpu_of_server() const { return load_.server == 0 ? 0 : cpu_seconds_of(load_.server); }

    Sample with_latencies(Sample sample) {
        std::vector<double> all;
        for (const Caller& caller : callers_) {
            all.insert(all.end(), caller.latencies.begin(), caller.latencies.end());
        }
        sample.items = static_cast<double>(all.size());
        sample.p50 = quantile(all, 0.5);
        sample.p99 = quantile(all, 0.99);
        return sample;
    }

    const Load load_;
    std::vector<Caller> callers_;
    std::atomic<bool> counting_{false};
    std::atomic<bool> over_{false};
    std::atomic<std::size_t> ended_{0};
};

Question question_of(std::size_t caller, std::size_t call) {
    return {(std::uint64_t{caller} << 32U) + call, static_cast<double>(caller), 2.5, 3.5};
}

template <class Client>
Task ask_again_and_again(Client& client, Loop& loop, std::size_t caller) {
    auto from = Clock::now();
    for (std::size_t call = 0; !loop.over(); ++call) {
        const Question question = question_of(caller, call);
        const Answer answer = co_await client.process(question);
        check_answer(question, answer);
        const auto to = Clock::now();
        loop.record(caller, from, to);
        from = to;
    }
    loop.caller_ends();
}

// Callers are coroutines of one thread, as those of a web application.
class CallersThread {
public:
    CallersThread() : work_(asio::make_work_guard(context_)), thread_([this] { context_.run(); }) {}
    CallersThread(const CallersThread&) = delete;
    CallersThread& operator=(const CallersThread&) = delete;
    ~CallersThread() {
        work_.reset();
        thread_.join();
    }

    asio::io_context& context() noexcept { return context_; }

    template <class Client>
    Sample measure(Client& client, const Load& load) {
        Loop loop(load);
        return loop.run([&](std::size_t caller) {
            asio::post(context_, [&, caller] { ask_again_and_again(client, loop, caller); });
        });
    }

private:
    asio::io_context context_{1};
    asio::executor_work_guard<asio::io_context::executor_type> work_;
    std::thread thread_;
};

// Or one is a thread that blocks.
template <class Client>
Sample measure_blocking(Client& client, const Load& load) {
    Loop loop(load);
    std::vector<std::thread> threads;
    const Sample sample = loop.run([&](std::size_t caller) {
        threads.emplace_back([&, caller] {
            for (std::size_t call = 0; !loop.over(); ++call) {
                const Question question = question_of(caller, call);
                const auto from = Clock::now();
                check_answer(question, client.process(question));
                loop.record(caller, from, Clock::now());
            }
            loop.caller_ends();
        });
    });
    for (auto& thread : threads) thread.join();
    return sample;
}

using Measure = std::function<Sample(const Load&)>;

template <class Client, class... Arguments>
Measure coroutines_of(CallersThread& callers, Arguments... arguments) {
    auto client = std::make_shared<Client>(callers.context(), arguments...);
    return [&callers, client](const Load& load) { return callers.measure(*client, load); };
}

template <class Client, class... Arguments>
Measure threads_of(Arguments... arguments) {
    auto client = std::make_shared<Client>(arguments...);
    return [client](const Load& load) { return measure_blocking(*client, load); };
}

// ---- one program that calls -----------------------------------------------------------------------------

struct Servers {
    explicit Servers(const std::filesystem::path& directory)
        : plain("plain", 0us, directory),
          deployment("deployment", 0us, directory),
          slow_plain("plain", 1000us, directory),
          slow_deployment("deployment", 1000us, directory) {}

    double cpu_seconds() const {
        double sum = 0;
        for (const ServerProcess* server : {&plain, &deployment, &slow_plain, &slow_deployment}) {
            sum += cpu_seconds_of(server->pid());
        }
        return sum;
    }

    const ServerProcess plain;
    const ServerProcess deployment;
    const ServerProcess slow_plain;  // these take a millisecond for a batch
    const ServerProcess slow_deployment;
};

struct Way {
    std::string arrangement;
    std::string name;
    Measure measure;
    pid_t server = 0;
    bool one_only = false;  // it is for a lone caller
};

constexpr const char* alone = "in this process";
constexpr const char* plain_name = "plain gRPC: a call per item";
constexpr const char* plain_direct_name = "plain gRPC: resumed on its threads";
constexpr const char* plain_worker_name = "plain gRPC: function on a worker";
constexpr const char* plain_waiting_name = "plain gRPC: callback";
constexpr const char* plain_synchronous_name = "plain gRPC: synchronous";
constexpr const char* handle_name = "this library";

std::vector<Way> ways(CallersThread& callers, const Servers& servers) {
    std::vector<Way> all;
    const pid_t plain = servers.plain.pid();
    const pid_t deployed = servers.deployment.pid();
    for (const bool tcp : {false, true}) {
        const std::string how = tcp ? "TCP" : "unix socket";
        const std::string& there = tcp ? servers.plain.tcp() : servers.plain.unix_socket();
        const std::string& here = tcp ? servers.deployment.tcp() : servers.deployment.unix_socket();
        const char* const answer = PlainServer::answer_method;
        all.push_back({how, plain_name,
                       coroutines_of<PlainClient<Resume::posted>>(callers, there, answer), plain});
        all.push_back({how, plain_direct_name,
                       coroutines_of<PlainClient<Resume::on_grpc_thread>>(callers, there, answer),
                       plain});
        all.push_back({how, plain_worker_name,
                       coroutines_of<PlainClient<Resume::posted>>(callers, there,
                                                                  PlainServer::batched_method),
                       plain});
        all.push_back(
            {how, "by hand: packed calls", coroutines_of<PackingClient>(callers, there), plain});
        all.push_back({how, "this library: bytes as in memory",
                       coroutines_of<Handle<RawQuestion>>(callers, here, "raw"), deployed});
        all.push_back({how, handle_name, coroutines_of<Handle<Question>>(callers, here, "msgpack"),
                       deployed});
        const std::string blocking = how + ", a blocking thread";
        all.push_back(
            {blocking, plain_waiting_name, threads_of<WaitingPlainClient>(there), plain, true});
        all.push_back({blocking, plain_synchronous_name, threads_of<SynchronousPlainClient>(there),
                       plain, true});
        all.push_back({blocking, handle_name, threads_of<BlockingHandle<Question>>(here, "msgpack"),
                       deployed, true});
    }
    all.push_back({alone, handle_name, coroutines_of<InProcess>(callers), 0});
    return all;
}

std::vector<Contender> contenders_of(const std::vector<Way>& ways, Load load,
                                     std::vector<double> (*figures)(const Sample&)) {
    std::vector<Contender> contenders;
    for (const Way& way : ways) {
        if (way.one_only && load.in_flight != 1) continue;
        load.server = way.server;
        contenders.push_back({way.arrangement, way.name, [=] {
                                  unpin_this_thread();
                                  return figures(way.measure(load));
                              }});
    }
    // Those of one arrangement are shown together.
    std::stable_sort(contenders.begin(), contenders.end(),
                     [](const auto& a, const auto& b) { return a.arrangement < b.arrangement; });
    return contenders;
}

std::vector<double> throughput_of(const Sample& sample) {
    return {sample.rate(), sample.cpu(), sample.p50, sample.p99};
}
const std::vector<Metric> throughput{{"items", "k/s"}, {"cpu", "us"}, {"p50", "us"}, {"p99", "us"}};

std::vector<double> latency_of(const Sample& sample) {
    return {sample.p50, sample.p99, sample.cpu(), sample.rate()};
}
const std::vector<Metric> latency{{"p50", "us"}, {"p99", "us"}, {"cpu", "us"}, {"items", "k/s"}};

void measure_one_program(const Settings& settings, const Servers& servers, Budgets& budgets) {
    unpin_this_thread();
    CallersThread callers;
    const std::vector<Way> all = ways(callers, servers);
    const std::chrono::milliseconds time = settings.quick ? 60ms : 150ms;

    // Four threads take turns on two processors: where the kernel wakes them moves a round by a fifth.
    Settings longer = settings;
    if (!settings.quick) longer.rounds = 25;
    Sheet lone(longer, "remote_lone", {}, latency);
    const Results one =
        lone.measure("A lone caller", {}, contenders_of(all, {1, time / 4, time}, latency_of));

    Sheet sheet(settings, "remote", {"in_flight"}, throughput);
    for (const std::size_t in_flight : {64, 1'000}) {
        const Results many = sheet.measure(
            fmt::format("{} in flight", with_commas(in_flight)), {std::to_string(in_flight)},
            contenders_of(all, {in_flight, time / 4, time}, throughput_of));
        if (in_flight != 1'000) continue;
        for (const char* how : {"unix socket", "TCP"}) {
            budgets.at_least(
                fmt::format("{}: times the items/s of a plain call per item, 1,000 in flight", how),
                many.median(how, handle_name) /
                    std::max(many.median(how, plain_name), many.median(how, plain_direct_name)),
                20);
        }
    }
    // A plain call's function runs on the thread of gRPC's that has read it; a Batcher's on its worker.
    for (const std::string how : {"unix socket", "TCP"}) {
        const double plain = one.median(how, plain_name);
        budgets.at_most(how + ": a lone coroutine's p50, times that of a plain call",
                        one.median(how, handle_name) / plain, 1.3);
        budgets.at_most(how + ": the same, if the plain server's function is on a worker, too",
                        one.median(how, handle_name) / one.median(how, plain_worker_name), 1.3);
        const std::string blocking = how + ", a blocking thread";
        const double faster = std::min(one.median(blocking, plain_waiting_name),
                                       one.median(blocking, plain_synchronous_name));
        budgets.at_most(blocking + ": p50, times that of the faster plain call",
                        one.median(blocking, handle_name) / faster, 1.3);
    }
}

// ---- four programs that call: remote --call WAY ADDRESS IN_FLIGHT MILLISECONDS SERVER ----------------------

constexpr std::size_t programs = 4;

int call(const std::string& way, const std::string& address, const Load& load) {
    dies_with_parent();
    CallersThread callers;
    using Plain = PlainClient<Resume::on_grpc_thread>;
    const auto measure =
        way == "unbatched" ? coroutines_of<Plain>(callers, address, PlainServer::answer_method)
        : way == "plain"   ? coroutines_of<Plain>(callers, address, PlainServer::batched_method)
        : way == "packed"  ? coroutines_of<PackingClient>(callers, address)
        : way == "raw"     ? coroutines_of<Handle<RawQuestion>>(callers, address, way)
                           : coroutines_of<Handle<Question>>(callers, address, way);
    const Sample s = measure(load);
    fmt::print("{} {} {} {} {} {}\n", s.items, s.seconds, s.client_cpu, s.server_cpu, s.p50, s.p99);
    return 0;
}

// All four at once. Rates and their own processor time add up; the server's each has seen whole.
std::vector<double> run_programs(const std::string& way, const ServerProcess& server,
                                 std::chrono::milliseconds time) {
    unpin_this_thread();
    std::vector<std::unique_ptr<ChildProcess>> processes;
    for (std::size_t i = 0; i < programs; ++i) {
        processes.push_back(std::make_unique<ChildProcess>(
            std::vector<std::string>{"--call", way, server.unix_socket(), "64",
                                     std::to_string(time.count()), std::to_string(server.pid())}));
    }
    double rate = 0;
    Sample sum;
    for (const auto& process : processes) {
        Sample s;
        const std::string line = process->line();
        if (std::sscanf(line.c_str(), "%lf %lf %lf %lf %lf %lf", &s.items, &s.seconds,
                        &s.client_cpu, &s.server_cpu, &s.p50, &s.p99) != 6) {
            throw std::runtime_error("a process said " + line);
        }
        rate += s.rate();
        sum.items += s.items;
        sum.client_cpu += s.client_cpu;
        sum.server_cpu += s.server_cpu / programs;
        sum.p50 += s.p50 / programs;
        sum.p99 = std::max(sum.p99, s.p99);
    }
    return {rate, sum.cpu(), sum.p50, sum.p99};
}

void measure_programs(const Settings& settings, const Servers& servers, Budgets& budgets) {
    const std::chrono::milliseconds time = settings.quick ? 100ms : 400ms;
    const std::string arrangement = "unix socket, four programs";
    const auto contender = [&](const char* name, const char* way, const ServerProcess& server) {
        return Contender{arrangement, name,
                         [=, &server] { return run_programs(way, server, time); }};
    };
    Sheet sheet(settings, "remote_programs", {}, throughput);
    const char* const plain = "plain gRPC: a call per item batched there";
    const Results results = sheet.measure(
        "Four programs, 64 in flight each, a function of 1 ms, batches of up to 256, 1 ms", {},
        {contender(plain, "plain", servers.slow_plain),
         contender("plain gRPC: a call per item not batched", "unbatched", servers.slow_plain),
         contender("by hand: packed calls not batched there", "packed", servers.slow_plain),
         contender("this library: bytes as in memory", "raw", servers.slow_deployment),
         contender(handle_name, "msgpack", servers.slow_deployment)});
    budgets.at_least("four programs: times the items/s of a plain call per item, batched there",
                     results.median(arrangement, handle_name) / results.median(arrangement, plain),
                     4);
}

// ---- one program and several replicas -------------------------------------------------------------------

void measure_replicas(const Settings& settings, const std::filesystem::path& directory,
                      Budgets& budgets) {
    unpin_this_thread();
    const std::chrono::milliseconds time = settings.quick ? 100ms : 300ms;
    const std::string arrangement = "TCP, one program";
    CallersThread callers;
    std::vector<std::unique_ptr<ServerProcess>> replicas;
    std::vector<Contender> contenders;
    std::string addresses = "ipv4:";
    for (const std::size_t count : {1, 2, 4}) {
        while (replicas.size() < count) {
            const auto own = directory / std::to_string(replicas.size());
            std::filesystem::create_directory(own);
            replicas.push_back(std::make_unique<ServerProcess>("replica", 1000us, own));
            addresses += (replicas.size() == 1 ? "" : ",") + replicas.back()->tcp();
        }
        const Measure measure = coroutines_of<Handle<Question>>(callers, addresses, "msgpack");
        contenders.push_back({arrangement, fmt::format("replicas: {}", count), [=] {
                                  unpin_this_thread();
                                  const Sample s = measure({512, time / 3, time});
                                  return std::vector<double>{s.rate(), s.p50, s.p99};
                              }});
    }
    seconds_of_helpers() = [&] {
        double sum = 0;
        for (const auto& replica : replicas) sum += cpu_seconds_of(replica->pid());
        return sum;
    };
    Sheet sheet(settings, "remote_replicas", {}, {{"items", "k/s"}, {"p50", "us"}, {"p99", "us"}});
    const Results results = sheet.measure(
        "Several replicas, 512 in flight, a function of 1 ms, batches of up to 32, 1 ms", {},
        contenders);
    budgets.at_least(
        "four replicas: times the items/s of one",
        results.median(arrangement, "replicas: 4") / results.median(arrangement, "replicas: 1"), 3);
}

// Of the servers, and of the programs that have ended.
double seconds_of(const Servers& servers) {
    rusage ended{};
    getrusage(RUSAGE_CHILDREN, &ended);
    const auto seconds = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
    };
    return servers.cpu_seconds() + seconds(ended.ru_utime) + seconds(ended.ru_stime);
}

// A directory that goes at the end.
class Directory {
public:
    Directory() {
        std::string name = (std::filesystem::temp_directory_path() / "batcher-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("there is no directory");
        path_ = name;
    }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;
    ~Directory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    const std::filesystem::path& path() const noexcept { return path_; }

private:
    std::filesystem::path path_;
};

}  // namespace

int main(int argc, char** argv) try {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    if (arguments.size() >= 4 && arguments[0] == "--serve") {
        return serve(arguments[1], std::chrono::microseconds(std::stoi(arguments[2])),
                     {arguments.begin() + 3, arguments.end()});
    }
    if (arguments.size() == 6 && arguments[0] == "--call") {
        return call(arguments[1], arguments[2],
                    {std::stoul(arguments[3]), 100ms,
                     std::chrono::milliseconds(std::stoi(arguments[4])), std::stoi(arguments[5])});
    }
    Settings settings = settings_from(argc, argv);
    settings.rounds = std::min<std::size_t>(settings.rounds, 7);
    unpin_this_thread();
    const Directory directory;
    const Servers servers(directory.path());
    seconds_of_helpers() = [&] { return seconds_of(servers); };
    Budgets budgets(settings, "remote");
    measure_one_program(settings, servers, budgets);
    measure_programs(settings, servers, budgets);
    measure_replicas(settings, directory.path(), budgets);
    seconds_of_helpers() = [] { return 0.0; };
    budgets.print();
} catch (const std::exception& error) {
    fmt::print(stderr, "remote: {}\n", error.what());
    return 1;
}

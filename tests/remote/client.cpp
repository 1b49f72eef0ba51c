// An application as a process of its own, for the tests of clusters: it calls "work" without end, and tells what
// became of its calls.
//
//     remote_client ADDRESS [application=NAME, on Ray Serve] [deployment=NAME] [idempotent=1]
//         [timeout_ms=N] [callers=N] [sleep_ms=N, of each job]
//
// Each line on its input is answered by a line of JSON about all calls so far; at its end the client stops,
// waits for the calls under way, and prints the last one.
#include "types.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <atomic>
#include <batcher.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <iostream>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#if defined(BATCHER_USE_BOOST_ASIO)
#include <boost/asio.hpp>
#else
#include <asio.hpp>
#endif

namespace {

namespace asio = batching::asio;

using Options = std::map<std::string, std::string>;

Options options_of(int argc, char** argv) {
    Options options{
        {"callers", "64"}, {"timeout_ms", "30000"}, {"deployment", "work"}, {"sleep_ms", "0"}};
    for (int i = 2; i < argc; ++i) {
        const std::string argument = argv[i];
        const auto equals = argument.find('=');
        options[argument.substr(0, equals)] = argument.substr(equals + 1);
    }
    return options;
}

std::string json_string(const std::string& text) {
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    return out + '"';
}

std::string json_of(std::int64_t number) { return std::to_string(number); }
std::string json_of(const std::set<std::int64_t>& numbers) {
    return fmt::format("[{}]", fmt::join(numbers, ", "));
}
template <class Value>
std::string json_object(const std::map<std::string, Value>& fields) {
    std::string out;
    for (const auto& [name, value] : fields) {
        out += fmt::format("{}{}: {}", out.empty() ? "" : ", ", json_string(name), json_of(value));
    }
    return '{' + out + '}';
}

// What became of the calls. Thread safe.
class Report {
public:
    void answered(const test::Answer& answer, std::int64_t id) {
        const std::lock_guard lock(mutex_);
        ++answered_[answer.server];
        if (answer.id != id) ++wrong_;
        batches_[answer.server].insert(answer.batch);
    }

    void failed(const std::string& error, std::int64_t id) {
        const std::lock_guard lock(mutex_);
        ++errors_[error];
        failed_.push_back(id);
    }

    // [first, next): the ids that were sent.
    std::string json(std::int64_t first, std::int64_t next) {
        const std::lock_guard lock(mutex_);
        return fmt::format(
            R"({{"first": {}, "next": {}, "answered": {}, "wrong": {}, "failed": [{}], "errors": {}, "batches": {}}})",
            first, next, json_object(answered_), wrong_, fmt::join(failed_, ", "),
            json_object(errors_), json_object(batches_));
    }

private:
    std::mutex mutex_;
    std::map<std::string, std::int64_t> answered_;  // by each server
    std::int64_t wrong_ = 0;
    std::vector<std::int64_t> failed_;
    std::map<std::string, std::int64_t> errors_;
    std::map<std::string, std::set<std::int64_t>>
        batches_;  // of each server, those with an item of ours
};

class Client {
public:
    Client(const std::string& address, const Options& options)
        : work_(batching::grpc::connect<test::Job, test::Answer>(
              address, options.at("deployment"),
              {.timeout = std::chrono::milliseconds(std::stoi(options.at("timeout_ms"))),
               .idempotent = options.count("idempotent") != 0,
               .metadata = metadata(options)})),
          sleep_ms_(std::stoi(options.at("sleep_ms"))) {
        for (int i = 0; i < std::stoi(options.at("callers")); ++i)
            asio::co_spawn(context_, keep_calling(), asio::detached);
        thread_ = std::thread([this] { context_.run(); });
    }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    ~Client() { thread_.join(); }

    void stop() {
        stopping_ = true;
        thread_.join();
        thread_ = std::thread([] {});
    }

    std::string report() { return report_.json(first_, next_); }

private:
    static std::vector<std::pair<std::string, std::string>> metadata(const Options& options) {
        const auto application = options.find("application");
        if (application == options.end()) return {};
        return {*application};
    }

    asio::awaitable<void> keep_calling() {
        while (!stopping_) {
            const std::int64_t id = next_++;
            test::Job job{id, "", sleep_ms_};
            bool failed = false;
            try {
                report_.answered(co_await work_.process(std::move(job)), id);
            } catch (const batching::Error& error) {
                report_.failed(fmt::format("{}: {}", error.code().message(), error.what()), id);
                failed = true;
            } catch (const std::exception& error) {
                report_.failed(fmt::format("not a batching::Error: {}", error.what()), id);
                failed = true;
            }
            if (failed) co_await pause();
        }
    }

    // So that what is down is not asked in a loop.
    asio::awaitable<void> pause() {
        asio::steady_timer timer(context_, std::chrono::milliseconds(20));
        co_await timer.async_wait(asio::use_awaitable);
    }

    batching::Batcher<test::Job, test::Answer> work_;
    const int sleep_ms_;
    const std::int64_t first_ = std::int64_t{getpid()} << 32;  // no two clients send the same
    std::atomic<std::int64_t> next_{first_};
    std::atomic<bool> stopping_{false};
    Report report_;
    asio::io_context context_;
    std::thread thread_;
};

void print(const std::string& line) {
    std::puts(line.c_str());
    std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) try {
    Client client(argc > 1 ? argv[1] : "", options_of(argc, argv));
    for (std::string line; std::getline(std::cin, line);) print(client.report());
    client.stop();
    print(client.report());
    return 0;
} catch (const std::exception& error) {
    fmt::print(stderr, "remote_client: {}\n", error.what());
    return 1;
}

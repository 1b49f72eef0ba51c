// A deployment as a process of its own, for the tests to start, stop, freeze and kill.
//
//     remote_server listen=ADDRESS [label=TEXT] [log=FILE] [max_batch=N] [timeout_ms=N, -1: none] [share_port=1]
//                   [max_message=BYTES] [max_memory=BYTES]
//     remote_server connect=ADDRESS [text=BYTES]
//
// The first serves "work", says `listening ADDRESS` when it is ready, and `drained` when wait() has returned. Into
// the log goes the id of each item that is run, one a line, before its batch is answered. The second is a
// client that calls "work" without end, 64 calls at a time, and says so.
#include "stop_signals.hpp"
#include "types.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

std::map<std::string, std::string> options_of(int argc, char** argv) {
    std::map<std::string, std::string> options;
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        const auto equals = argument.find('=');
        options[argument.substr(0, equals)] = argument.substr(equals + 1);
    }
    return options;
}

class Work {
public:
    Work(std::string label, const std::string& log) : label_(std::move(label)) {
        if (log.empty()) return;
        log_ = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (log_ < 0) throw std::runtime_error("cannot write the log " + log);
    }

    std::vector<test::Answer> operator()(const std::vector<test::Job>& jobs) {
        ++batch_;
        record(jobs);
        int sleep_ms = 0;
        std::vector<test::Answer> answers;
        for (const auto& job : jobs) {
            sleep_ms = std::max(sleep_ms, job.sleep_ms);
            answers.push_back(
                {job.id, job.text, label_, batch_, static_cast<std::int64_t>(jobs.size())});
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(sleep_ms));
        return answers;
    }

private:
    void record(const std::vector<test::Job>& jobs) const {
        if (log_ < 0) return;
        std::string lines;
        for (const auto& job : jobs) lines += std::to_string(job.id) + '\n';
        if (write(log_, lines.data(), lines.size()) < 0)
            throw std::runtime_error("the log is full");
    }

    std::string label_;
    int log_ = -1;
    std::int64_t batch_ = 0;
};

int serve(std::map<std::string, std::string>& options) {
    const auto number = [&](const char* name, int otherwise) {
        return options.count(name) != 0 ? std::stoi(options[name]) : otherwise;
    };
    const int timeout_ms = number("timeout_ms", 0);
    batching::Batcher work{
        Work(options["label"], options["log"]),
        {.max_batch_size = static_cast<std::size_t>(number("max_batch", 256)),
         .batch_timeout = timeout_ms < 0 ? batching::no_timeout : timeout_ms * 1ms}};
    auto deployment = batching::grpc::deploy(
        {.listen = options["listen"],
         .max_message_size = static_cast<std::size_t>(number("max_message", 64 << 20)),
         .max_memory = static_cast<std::size_t>(number("max_memory", 0)),
         .share_port = number("share_port", 0) != 0,
         .max_connection_age = number("max_connection_age_ms", 30'000) * 1ms},
        "work", work);
    std::printf("listening %s\n", deployment.address().c_str());
    std::fflush(stdout);
    deployment.wait();
    std::puts("drained");
    return 0;
}

int keep_calling(std::map<std::string, std::string>& options) {
    auto work = batching::grpc::connect<test::Job, test::Answer>(options["connect"], "work");
    const std::string text(std::stoul("0" + options["text"]), 'x');
    std::vector<std::thread> callers;
    for (int i = 0; i < 64; ++i) {
        callers.emplace_back([&] {
            for (std::int64_t id = 0;; ++id) {
                test::Job job{id, text};
                work.process(std::move(job)).get();
            }
        });
    }
    std::printf("calling %s\n", options["connect"].c_str());
    std::fflush(stdout);
    for (auto& caller : callers) caller.join();
    return 0;
}

}  // namespace

int main(int argc, char** argv) try {
    auto options = options_of(argc, argv);
    test::block_stop_signals();
    return options.count("connect") != 0 ? keep_calling(options) : serve(options);
} catch (const std::exception& error) {
    std::fprintf(stderr, "remote_server: %s\n", error.what());
    return 1;
}

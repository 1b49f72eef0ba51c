// A deployment as a process of its own, for the tests to start, stop, freeze and kill.
//
//     remote_server listen=ADDRESS [label=TEXT] [log=FILE] [timeout_ms=N] [drain_ms=N]
//
// It serves "work", says `listening ADDRESS` when it is ready, and `drained` when wait() has returned. Into
// the log goes the id of each item that is run, one a line, before its batch is answered.
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

}  // namespace

int main(int argc, char** argv) try {
    auto options = options_of(argc, argv);
    const auto number = [&](const char* name, int otherwise) {
        return options.count(name) != 0 ? std::stoi(options[name]) : otherwise;
    };
    batching::Batcher work{Work(options["label"], options["log"]),
                           {.max_batch_size = 256,
                            .batch_timeout = std::chrono::milliseconds(number("timeout_ms", 0))}};
    auto deployment = batching::grpc::deploy(
        {.listen = options["listen"],
         .drain_timeout = std::chrono::milliseconds(number("drain_ms", 10'000)),
         .keepalive = {.interval = std::chrono::seconds(5), .timeout = std::chrono::seconds(5)}},
        "work", work);
    std::printf("listening %s\n", deployment.address().c_str());
    std::fflush(stdout);
    deployment.wait();
    std::puts("drained");
    return 0;
} catch (const std::exception& error) {
    std::fprintf(stderr, "remote_server: %s\n", error.what());
    return 1;
}

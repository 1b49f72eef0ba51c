// A deployment that a test in Python starts, freezes, replaces and kills.
//
//     python_server listen=ADDRESS [label=TEXT] [log=FILE] [max_batch=N] [max_queue=N] [token=TEXT]
//         [age_ms=N, of connections] [roots=FILE] [certificate=FILE private_key=FILE]
//
// It serves "work", whose items are arrays and which logs the id of each item that it runs; "square_root", whose
// items are maps and some of which fail; "lengths", of maps with numbers as keys; and "nothing", without results.
// It says `listening ADDRESS` when it is ready.
#include "../remote/stop_signals.hpp"
#include "../remote/types.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <batcher.hpp>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

namespace {

using Options = std::map<std::string, std::string>;

struct Question {
    double number = 0;
    MSGPACK_DEFINE_MAP(number)
};

struct Root {
    double root = 0;
    MSGPACK_DEFINE_MAP(root)
};

std::vector<batching::Result<Root>> square_roots(const std::vector<Question>& batch) {
    std::vector<batching::Result<Root>> roots;
    for (const Question& question : batch) {
        if (question.number >= 0) {
            roots.emplace_back(Root{std::sqrt(question.number)});
        } else {
            const auto sentence = fmt::format("{} has no square root", question.number);
            roots.emplace_back(std::make_exception_ptr(std::domain_error(sentence)));
        }
    }
    return roots;
}

std::vector<std::map<int, std::string>> lengths(const std::vector<std::string>& words) {
    std::vector<std::map<int, std::string>> found;
    for (const auto& word : words) found.push_back({{static_cast<int>(word.size()), word}});
    return found;
}

class Work {
public:
    Work(std::string label, const std::string& log)
        : label_(std::move(label)), log_(log, std::ios::app) {}

    std::vector<test::Answer> operator()(const std::vector<test::Job>& jobs) {
        ++batch_;
        int sleep_ms = 0;
        std::vector<test::Answer> answers;
        for (const auto& job : jobs) {
            log_ << job.id << '\n';
            sleep_ms = std::max(sleep_ms, job.sleep_ms);
            const auto size = static_cast<std::int64_t>(jobs.size());
            answers.push_back({job.id, job.text, label_, batch_, size});
        }
        log_.flush();
        std::this_thread::sleep_for(std::chrono::milliseconds(sleep_ms));
        return answers;
    }

private:
    std::string label_;
    std::ofstream log_;
    std::int64_t batch_ = 0;
};

batching::grpc::DeployOptions deploy_options(Options& options) {
    batching::grpc::DeployOptions found{.listen = options["listen"]};
    if (!options["age_ms"].empty()) found.max_connection_age = std::stoi(options["age_ms"]) * 1ms;
    if (const std::string token = options["token"]; !token.empty())
        found.accepts_token = [token](std::string_view given) { return given == token; };
    if (!options["certificate"].empty()) {
        found.tls = batching::grpc::Tls{.root_certificates = options["roots"],
                                        .certificate = options["certificate"],
                                        .private_key = options["private_key"]};
    }
    return found;
}

void serve(Options& options) {
    const auto number = [&](const char* name, std::size_t otherwise) {
        return options[name].empty() ? otherwise : std::stoul(options[name]);
    };
    batching::Batcher work{Work(options["label"], options["log"]),
                           {.max_batch_size = number("max_batch", 256),
                            .batch_timeout = 0ns,
                            .max_queue_size = number("max_queue", batching::no_limit),
                            .priority_aging = batching::no_timeout}};
    batching::Batcher square_root{square_roots, {.batch_timeout = 0ns}};
    batching::Batcher words{lengths, {.batch_timeout = 0ns}};
    batching::Batcher nothing{[](const std::vector<int>&) {}, {.batch_timeout = 0ns}};
    auto deployment = batching::grpc::deploy(deploy_options(options), "work", work, "square_root",
                                             square_root, "lengths", words, "nothing", nothing);
    fmt::print("listening {}\n", deployment.address());
    std::fflush(stdout);
    deployment.wait();
}

}  // namespace

int main(int argc, char** argv) try {
    Options options;
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        const auto equals = argument.find('=');
        options[argument.substr(0, equals)] = argument.substr(equals + 1);
    }
    test::block_stop_signals();
    serve(options);
    return 0;
} catch (const std::exception& error) {
    fmt::print(stderr, "python_server: {}\n", error.what());
    return 1;
}

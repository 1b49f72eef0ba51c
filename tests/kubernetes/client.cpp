// An application as a process of its own, for the tests of replicas behind one name.
//
//     kubernetes_client ADDRESS [idempotent]
//
// 32 callers call "work" without end. At each line on its standard input it says what has ended since the line before:
// `answered LABEL COUNT` for each replica that answered, `failed SENTENCE` for each call that failed, and `.`. At the end
// of its input it begins no more calls, says the same of those that were under way, and exits.
#include "../remote/types.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <iostream>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
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
using Work = batching::Batcher<test::Job, test::Answer>;

class Callers {
public:
    explicit Callers(Work& work) : work_(work) {
        for (int i = 0; i < 32; ++i) asio::co_spawn(context_, keep_calling(), asio::detached);
        thread_ = std::thread([this] { context_.run(); });
    }

    // Every call that was begun has ended when it returns.
    void stop() {
        asio::post(context_, [this] { stopping_ = true; });
        thread_.join();
    }

    // What has ended since the report before.
    void report() {
        const std::lock_guard lock(mutex_);
        for (const auto& [server, count] : answered_) fmt::print("answered {} {}\n", server, count);
        for (const auto& sentence : failed_) fmt::print("failed {}\n", sentence);
        fmt::print(".\n");
        std::fflush(stdout);
        answered_.clear();
        failed_.clear();
    }

private:
    asio::awaitable<void> keep_calling() {
        while (!stopping_) {
            test::Job job{next_++, "item", 1};
            const std::int64_t id = job.id;
            try {
                const test::Answer answer = co_await work_.process(std::move(job));
                const std::lock_guard lock(mutex_);
                if (answer.id == id) {
                    ++answered_[answer.server];
                } else {
                    failed_.push_back(fmt::format("{} got the answer of {}", id, answer.id));
                }
            } catch (const std::exception& error) {
                const std::lock_guard lock(mutex_);
                failed_.emplace_back(error.what());
            }
        }
    }

    Work& work_;
    asio::io_context context_;
    bool stopping_ = false;
    std::int64_t next_ = 0;
    std::mutex mutex_;
    std::map<std::string, int> answered_;
    std::vector<std::string> failed_;
    std::thread thread_;
};

}  // namespace

int main(int argc, char** argv) try {
    const std::string address = argc > 1 ? argv[1] : "";
    const bool idempotent = argc > 2 && std::string_view(argv[2]) == "idempotent";
    auto work = batching::grpc::connect<test::Job, test::Answer>(address, "work",
                                                                 {.idempotent = idempotent});
    Callers callers(work);
    for (std::string line; std::getline(std::cin, line);) callers.report();
    callers.stop();
    callers.report();
    return 0;
} catch (const std::exception& error) {
    fmt::print(stderr, "kubernetes_client: {}\n", error.what());
    return 1;
}

// Servers that stand still: a busy one for a while, a frozen one for good.
#include "support.hpp"

#include <atomic>
#include <batcher.hpp>
#include <csignal>
#include <mutex>
#include <string>
#include <thread>

namespace frozen_test {

using namespace test;
using Work = batching::Batcher<Job, Answer>;

// Threads that call one after the other until they are told to stop.
class Callers {
public:
    explicit Callers(Work& work) {
        for (int i = 0; i < 32; ++i) threads_.emplace_back([&, i] { keep_calling(work, i); });
    }
    Callers(const Callers&) = delete;
    Callers& operator=(const Callers&) = delete;
    ~Callers() { stop(); }

    // Waits for the calls under way.
    void stop() {
        stopping_ = true;
        for (auto& thread : threads_) {
            if (thread.joinable()) thread.join();
        }
    }
    bool goes_on(int more = 1000) const {
        const int before = ended_;
        return eventually([&] { return ended_ >= before + more; });
    }
    // What the first that failed was told; "" if none did.
    std::string failure() {
        const std::lock_guard lock(mutex_);
        return failure_;
    }

private:
    void keep_calling(Work& work, int id) {
        while (!stopping_) {
            Job job{id};
            const auto ended = call(work, std::move(job));
            ++ended_;
            if (ended.value && ended.value->id == id) continue;
            const std::lock_guard lock(mutex_);
            if (failure_.empty()) failure_ = "not its own answer: " + ended.sentence;
        }
    }

    std::vector<std::thread> threads_;
    std::atomic<bool> stopping_{false};
    std::atomic<int> ended_{0};
    std::mutex mutex_;
    std::string failure_;
};

std::string both(const Process& a, const Process& b) {
    const auto port = [](const std::string& address) { return address.substr(address.rfind(':')); };
    return "ipv4:127.0.0.1" + port(a.address()) + ",127.0.0.1" + port(b.address());
}

TEST_CASE("a server that stands still for seconds, as one with too much to do, costs no call") {
    const Process server({"listen=127.0.0.1:0"});
    auto work = rpc::connect<Job, Answer>(server.address(), "work");
    Callers callers(work);
    REQUIRE(callers.goes_on());
    server.signal(SIGSTOP);
    std::this_thread::sleep_for(6s);
    server.signal(SIGCONT);
    CHECK(callers.goes_on());
    callers.stop();
    CHECK(callers.failure() == "");
}

TEST_CASE("a frozen replica costs no idempotent call, and holds up only those that it has") {
    const Process frozen({"listen=127.0.0.1:0"});
    const Process other({"listen=127.0.0.1:0"});
    auto work = rpc::connect<Job, Answer>(both(frozen, other), "work", {.idempotent = true});
    Callers callers(work);
    REQUIRE(callers.goes_on());
    frozen.signal(SIGSTOP);
    callers.stop();  // with those that the frozen one had
    CHECK(callers.failure() == "");
    Callers more(work);
    CHECK(more.goes_on());
    more.stop();
    CHECK(more.failure() == "");
}

TEST_CASE("an idempotent call with little time finds a frozen replica out in less") {
    const Process frozen({"listen=127.0.0.1:0"});
    const Process other({"listen=127.0.0.1:0"});
    auto work =
        rpc::connect<Job, Answer>(both(frozen, other), "work", {.timeout = 6s, .idempotent = true});
    Callers callers(work);
    REQUIRE(callers.goes_on());
    frozen.signal(SIGSTOP);
    callers.stop();
    CHECK(callers.failure() == "");
}

}  // namespace frozen_test

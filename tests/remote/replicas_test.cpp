// One handle and several replicas.
#include "support.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <batcher.hpp>
#include <future>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace replicas_test {

using namespace test;

// Replicas in this process, of one that doubles its items: each calls its own function.
class Replicas {
public:
    using Function = std::function<void(std::size_t replica, std::vector<int>& items)>;

    Replicas(std::size_t count, batching::Options options, const Function& function) {
        for (std::size_t i = 0; i < count; ++i) {
            models_.push_back(std::make_unique<batching::Batcher<int, int>>(
                [i, function](std::vector<int> items) {
                    function(i, items);
                    for (int& item : items) item *= 2;
                    return items;
                },
                options));
            deployments_.push_back(
                rpc::deploy({.listen = "127.0.0.1:0"}, "doubling", *models_.back()));
        }
    }

    std::string address() const {
        std::string all = "ipv4:";
        for (const auto& deployment : deployments_) {
            all += (all.ends_with(':') ? "" : ",") + deployment.address();
        }
        return all;
    }
    batching::Batcher<int, int> connect(rpc::ConnectOptions options = {}) const {
        auto handle = rpc::connect<int, int>(address(), "doubling", std::move(options));
        CHECK(handle.process(-1).get() == -2);  // now it knows them
        return handle;
    }
    batching::Stats stats(std::size_t i) const { return models_[i]->stats(); }
    void reconfigure(const batching::Options& options) {
        for (const auto& model : models_) model->reconfigure(options);
    }

private:
    std::vector<std::unique_ptr<batching::Batcher<int, int>>> models_;
    std::vector<rpc::Deployment> deployments_;
};

// Callers that call one after the other until they are told to stop.
class Callers {
public:
    Callers(batching::Batcher<int, int>& handle, int count) {
        for (int i = 0; i < count; ++i) aio::co_spawn(context_, call(handle, i), aio::detached);
        thread_ = std::thread([this] { context_.run(); });
    }
    Callers(const Callers&) = delete;
    Callers& operator=(const Callers&) = delete;
    ~Callers() { stop(); }

    void stop() {
        stopping_ = true;
        if (thread_.joinable()) thread_.join();
    }
    bool goes_on(int more) const {
        const int before = ended_;
        return eventually([&] { return ended_ >= before + more; });
    }
    int ended() const { return ended_; }
    int wrong() const { return wrong_; }

private:
    aio::awaitable<void> call(batching::Batcher<int, int>& handle, int item) {
        while (!stopping_) {
            try {
                const int result = co_await handle.process(item);
                if (result != 2 * item) ++wrong_;
            } catch (...) {
                ++wrong_;
            }
            ++ended_;
        }
    }

    aio::io_context context_;
    std::thread thread_;
    std::atomic<bool> stopping_{false};
    std::atomic<int> ended_{0};
    std::atomic<int> wrong_{0};
};

TEST_CASE("one handle has all replicas work at the same time, with nothing said about them") {
    // Each batch waits until one runs on every replica: with fewer at work none would ever end.
    constexpr std::size_t count = 4;
    std::mutex mutex;
    std::condition_variable changed;
    std::array<std::size_t, count> begun{};
    bool over = false;
    const auto meet = [&](std::size_t replica, const std::vector<int>& items) {
        if (items.front() < 0) return;
        std::unique_lock lock(mutex);
        const std::size_t mine = ++begun[replica];
        changed.notify_all();
        changed.wait(lock, [&] {
            return over ||
                   *std::min_element(begun.begin(), begun.end()) >= std::min(mine, std::size_t{50});
        });
    };
    const Replicas replicas(count, {.max_batch_size = 32, .batch_timeout = 0ns}, meet);
    auto handle = replicas.connect();
    Callers callers(handle, 512);
    CHECK(eventually([&] {
        const std::lock_guard lock(mutex);
        return *std::min_element(begun.begin(), begun.end()) >= 50;
    }));
    {
        const std::lock_guard lock(mutex);
        over = true;
        changed.notify_all();
    }
    callers.stop();
    CHECK(callers.wrong() == 0);
}

TEST_CASE("with several replicas batches are as full as with one") {
    const Replicas replicas(
        4, {.max_batch_size = 32, .batch_timeout = 0ns},
        [](std::size_t, std::vector<int>&) { std::this_thread::sleep_for(1ms); });
    auto handle = replicas.connect();
    Callers callers(handle, 512);
    CHECK(callers.goes_on(50'000));
    callers.stop();
    CHECK(callers.wrong() == 0);
    for (std::size_t i = 0; i < 4; ++i) CHECK(replicas.stats(i).batch_size.mean() > 24);
}

TEST_CASE("a second call to a replica waits until it is worth a batch") {
    std::mutex held;
    const Replicas replicas(2, {.max_batch_size = 4, .batch_timeout = 0ns},
                            [&](std::size_t, const std::vector<int>& items) {
                                if (items.front() >= 0) const std::lock_guard wait(held);
                            });
    auto handle = replicas.connect();
    std::unique_lock hold(held);
    std::vector<std::future<int>> calls;
    const auto running = [&](std::size_t items) {
        return eventually([&] { return handle.stats().running == items; });
    };
    const auto submit = [&](int count) {
        for (int i = 0; i < count; ++i) calls.push_back(handle.async_process(i, aio::use_future));
    };
    submit(1);
    CHECK(running(1));
    submit(1);
    CHECK(running(2));  // the other one
    submit(3);
    CHECK(handle.stats().running == 2);
    submit(1);
    CHECK(running(6));
    CHECK(handle.stats().batch_size.quantile(1) == 4);
    hold.unlock();
    for (auto& call : calls) call.get();
}

TEST_CASE("what is worth a batch follows the max_batch_size of a deployment that is reconfigured") {
    std::mutex held;
    Replicas replicas(2, {.max_batch_size = 64, .batch_timeout = 0ns},
                      [&](std::size_t, const std::vector<int>& items) {
                          if (items.front() >= 0) const std::lock_guard wait(held);
                      });
    auto handle = replicas.connect();
    replicas.reconfigure({.max_batch_size = 2, .batch_timeout = 0ns});
    CHECK(handle.process(-1).get() == -2);  // with this it is told
    std::unique_lock hold(held);
    std::vector<std::future<int>> calls;
    for (const std::size_t running : std::vector<std::size_t>{1, 2, 2, 4}) {
        calls.push_back(handle.async_process(0, aio::use_future));
        CHECK(eventually([&] { return handle.stats().running == running; }));
    }
    hold.unlock();
    for (auto& call : calls) call.get();
}

TEST_CASE("a replica that stands still holds up the calls that it has, and no others") {
    std::mutex held;
    const Replicas replicas(3, {.max_batch_size = 8, .batch_timeout = 0ns},
                            [&](std::size_t replica, const std::vector<int>& items) {
                                if (replica == 1 && items.front() >= 0)
                                    const std::lock_guard wait(held);
                            });
    auto handle = replicas.connect();
    std::unique_lock hold(held);
    Callers callers(handle, 64);
    CHECK(callers.goes_on(20'000));
    CHECK(handle.stats().running >= 1);
    CHECK(replicas.stats(1).submitted <= 1 + 2 * 64);
    hold.unlock();
    callers.stop();
    CHECK(callers.wrong() == 0);
}

TEST_CASE("calls_in_flight is for each replica") {
    std::mutex held;
    const Replicas replicas(2, {.max_batch_size = 1, .batch_timeout = 0ns},
                            [&](std::size_t, const std::vector<int>& items) {
                                if (items.front() >= 0) const std::lock_guard wait(held);
                            });
    auto handle = replicas.connect({.calls_in_flight = 3, .max_items_per_call = 1});
    std::unique_lock hold(held);
    std::vector<std::future<int>> calls;
    for (int i = 0; i < 20; ++i) calls.push_back(handle.async_process(i, aio::use_future));
    CHECK(eventually([&] { return handle.stats().running == 6; }));
    CHECK(eventually(
        [&] { return replicas.stats(0).waiting == 2 && replicas.stats(1).waiting == 2; }));
    hold.unlock();
    for (int i = 0; i < 20; ++i) CHECK(calls[static_cast<std::size_t>(i)].get() == 2 * i);
}

TEST_CASE("the replicas behind a name are found by looking it up") {
    namespace remote = batching::grpc::detail;
    const auto name = [](const char* address) {
        const auto found = remote::name_in(address);
        return found ? found->host + '|' + found->port : std::string("none");
    };
    CHECK(name("scorer:9000") == "scorer|9000");
    CHECK(name("dns:scorer:9000") == "scorer|9000");
    CHECK(name("dns:///scorer:9000") == "scorer|9000");
    CHECK(name("dns://10.0.0.1/scorer:9000") == "none");
    CHECK(name("unix:/run/socket") == "none");
    CHECK(name("unix:socket") == "none");
    CHECK(name("xds:///scorer") == "none");
    CHECK(name("127.0.0.1:9000") == "none");
    CHECK(name("[::1]:9000") == "none");
    CHECK(name("scorer") == "none");

    CHECK(remote::look_up({"127.0.0.1", "9000"}).from(0) == "ipv4:127.0.0.1:9000");
    CHECK(remote::look_up({"::1", "9000"}).from(0) == "ipv6:[::1]:9000");
    CHECK(remote::look_up({"no such name", "9000"}).all.empty());

    const auto listed = remote::listed_in("ipv4:10.0.0.1:1,10.0.0.2:2,10.0.0.3:3");
    CHECK(listed.from(0) == "ipv4:10.0.0.1:1,10.0.0.2:2,10.0.0.3:3");
    CHECK(listed.from(2) == "ipv4:10.0.0.3:3,10.0.0.1:1,10.0.0.2:2");
    CHECK(remote::listed_in("ipv6:[::1]:1,[::1]:2").all.size() == 2);
    CHECK(remote::listed_in("10.0.0.1:1").all.empty());
}

}  // namespace replicas_test

#include "support.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <fstream>
#include <map>
#include <memory>
#include <set>

namespace processes_test {

using namespace test;
using batching::errc;
using Work = batching::Batcher<Job, Answer>;

// Callers that call one after the other, in coroutines of one thread, until they are told to stop.
class Load {
public:
    explicit Load(Work& work, int callers = 32) : work_(work) {
        for (int i = 0; i < callers; ++i) aio::co_spawn(context_, keep_calling(), aio::detached);
        thread_ = std::thread([this] { context_.run(); });
    }
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;
    ~Load() { stop(); }

    // Every call that was begun has ended when it returns.
    void stop() {
        stopping_ = true;
        if (thread_.joinable()) thread_.join();
    }

    std::int64_t ended() const { return ended_; }
    // True once `more` calls have ended after now.
    bool goes_on(std::int64_t more = 200) const {
        const std::int64_t before = ended_;
        return eventually([&] { return ended_ >= before + more; });
    }

    // After stop().
    const std::vector<std::string>& errors() const { return errors_; }
    const std::vector<errc>& codes() const { return codes_; }
    const std::set<std::int64_t>& answered() const { return answered_; }
    std::set<std::string> servers() const { return servers_; }

    bool answered_by(const std::string& label) {
        const std::lock_guard lock(mutex_);
        return servers_.count(label) != 0;
    }
    void forget_servers() {
        const std::lock_guard lock(mutex_);
        servers_.clear();
    }

private:
    aio::awaitable<void> keep_calling() {
        while (!stopping_) {
            Job job{next_++, "item"};
            const std::int64_t id = job.id;
            try {
                const Answer answer = co_await work_.process(std::move(job));
                const std::lock_guard lock(mutex_);
                if (answer.id != id) errors_.push_back("the answer of another");
                answered_.insert(id);
                servers_.insert(answer.server);
            } catch (const batching::Error& e) {
                errors_.push_back(e.what());
                codes_.push_back(static_cast<errc>(e.code().value()));
            } catch (const std::exception& e) {
                errors_.push_back(e.what());
            }
            ++ended_;
        }
    }

    Work& work_;
    aio::io_context context_;
    std::thread thread_;
    std::atomic<bool> stopping_{false};
    std::atomic<std::int64_t> ended_{0};
    std::int64_t next_ = 0;
    std::mutex mutex_;
    std::set<std::int64_t> answered_;
    std::set<std::string> servers_;
    std::vector<std::string> errors_;
    std::vector<errc> codes_;
};

// How often each id was run, by all servers that wrote this log.
std::map<std::int64_t, int> runs_in(const std::string& log) {
    std::map<std::int64_t, int> runs;
    std::ifstream in(log);
    for (std::int64_t id = 0; in >> id;) ++runs[id];
    return runs;
}

std::string port_of(const std::string& address) { return address.substr(address.rfind(':') + 1); }

std::string both(const Process& a, const Process& b) {
    return "ipv4:127.0.0.1:" + port_of(a.address()) + ",127.0.0.1:" + port_of(b.address());
}

std::string text_of(const std::vector<std::string>& errors) {
    return errors.empty() ? std::string() : errors.front();
}

TEST_CASE("a deployment that gets SIGTERM finishes what it has accepted, and exits with 0") {
    const Directory directory;
    Process server({"listen=127.0.0.1:0", "log=" + directory.file("log")});
    auto work = rpc::connect<Job, Answer>(server.address(), "work");
    auto running = work.async_process(Job{1, "", 300}, aio::use_future);
    REQUIRE(eventually([&] { return runs_in(directory.file("log")).count(1) == 1; }));
    server.signal(SIGTERM);
    CHECK(running.get().id == 1);
    CHECK(server.wait() == 0);
}

// timeout(1) sends it twice, to its child and to the process group, and some init systems do.
TEST_CASE("a deployment that gets SIGTERM again while it drains drains all the same") {
    const Directory directory;
    Process server({"listen=127.0.0.1:0", "log=" + directory.file("log")});
    auto work = rpc::connect<Job, Answer>(server.address(), "work");
    auto running = work.async_process(Job{1, "", 300}, aio::use_future);
    REQUIRE(eventually([&] { return runs_in(directory.file("log")).count(1) == 1; }));
    while (running.wait_for(1ms) != std::future_status::ready) server.signal(SIGTERM);
    CHECK(running.get().id == 1);
    CHECK(server.wait() == 0);
}

TEST_CASE("a second SIGINT does what it always did, also while a deployment drains") {
    const Directory directory;
    Process server({"listen=127.0.0.1:0", "log=" + directory.file("log")});
    auto work = rpc::connect<Job, Answer>(server.address(), "work", {.timeout = 3s});
    auto running = work.async_process(Job{1, "", 30'000}, aio::use_future);
    REQUIRE(eventually([&] { return runs_in(directory.file("log")).count(1) == 1; }));
    REQUIRE(eventually([&] {
        server.signal(SIGINT);
        return running.wait_for(1ms) == std::future_status::ready;
    }));
    CHECK(server.wait() == 128 + SIGINT);
}

TEST_CASE("a deployment that gets SIGINT exits with 0, too") {
    Process server({"listen=127.0.0.1:0"});
    server.signal(SIGINT);
    CHECK(server.wait() == 0);
}

TEST_CASE("a deployment may be started after its client has called") {
    const Directory directory;
    const std::string address = "unix:" + directory.file("socket");
    auto work = rpc::connect<Job, Answer>(address, "work");
    auto early = work.async_process(Job{1}, aio::use_future);
    const Process server({"listen=" + address});
    CHECK(early.get().id == 1);
}

TEST_CASE("the items of four clients meet in one batch") {
    const Process server({"listen=127.0.0.1:0", "max_batch=4", "timeout_ms=-1"});
    std::vector<Work> clients;
    std::vector<std::future<Answer>> answers;
    for (int i = 0; i < 4; ++i) {
        clients.push_back(rpc::connect<Job, Answer>(server.address(), "work"));
        answers.push_back(clients.back().async_process(Job{i}, aio::use_future));
    }
    for (int i = 0; i < 4; ++i) {
        const Answer answer = answers[static_cast<std::size_t>(i)].get();
        CHECK(answer.id == i);
        CHECK(answer.batch == 1);
        CHECK(answer.batch_size == 4);
    }
}

TEST_CASE(
    "when a deployment is killed under load, calls end in a result or one clear error, none "
    "twice") {
    const Directory directory;
    const std::string address = "unix:" + directory.file("socket");
    const std::vector<std::string> arguments{"listen=" + address, "log=" + directory.file("log")};
    auto server = std::make_unique<Process>(arguments);
    auto work = rpc::connect<Job, Answer>(address, "work");
    Load load(work);
    for (int i = 0; i < 3; ++i) {
        REQUIRE(load.goes_on());
        server->signal(SIGKILL);
        CHECK(server->wait() == 128 + SIGKILL);
        server = std::make_unique<Process>(arguments);
    }
    REQUIRE(load.goes_on());
    load.stop();
    for (const errc code : load.codes()) CHECK(code == errc::unavailable);
    CHECK(load.codes().size() == load.errors().size());
    for (const auto& error : load.errors()) CHECK(contains(error, address));
    const auto runs = runs_in(directory.file("log"));
    CHECK(std::all_of(runs.begin(), runs.end(), [](const auto& run) { return run.second == 1; }));
    for (const auto id : load.answered()) CHECK(runs.count(id) == 1);
}

TEST_CASE("when a deployment is killed under load, idempotent calls all end in a result") {
    const Directory directory;
    const std::string address = "unix:" + directory.file("socket");
    auto server = std::make_unique<Process>(std::vector<std::string>{"listen=" + address});
    auto work = rpc::connect<Job, Answer>(address, "work", {.idempotent = true});
    Load load(work);
    for (int i = 0; i < 3; ++i) {
        REQUIRE(load.goes_on());
        server->signal(SIGKILL);
        CHECK(server->wait() == 128 + SIGKILL);
        server = std::make_unique<Process>(std::vector<std::string>{"listen=" + address});
    }
    REQUIRE(load.goes_on());
    load.stop();
    CHECK(text_of(load.errors()) == "");
}

TEST_CASE("when one of two replicas is killed, the other goes on") {
    Process a({"listen=127.0.0.1:0", "label=a"});
    const Process b({"listen=127.0.0.1:0", "label=b"});
    auto work = rpc::connect<Job, Answer>(both(a, b), "work", {.idempotent = true});
    Load load(work);
    REQUIRE(eventually([&] { return load.answered_by("a") && load.answered_by("b"); }));
    a.signal(SIGKILL);
    CHECK(a.wait() == 128 + SIGKILL);
    REQUIRE(load.goes_on());
    load.forget_servers();
    REQUIRE(load.goes_on());
    load.stop();
    CHECK(text_of(load.errors()) == "");
    CHECK(load.servers() == std::set<std::string>{"b"});
}

TEST_CASE("a replica that freezes is found out, and its calls go to the other") {
    const Process a({"listen=127.0.0.1:0", "label=a"});
    const Process b({"listen=127.0.0.1:0", "label=b"});
    auto work = rpc::connect<Job, Answer>(both(a, b), "work", {.idempotent = true});
    CHECK(call(work, Job{-1}).value.has_value());  // only those who have answered are asked
    Load load(work);
    REQUIRE(eventually([&] { return load.answered_by("a") && load.answered_by("b"); }));
    a.signal(SIGSTOP);
    REQUIRE(load.goes_on(2000));
    load.stop();  // with those that the frozen one had
    CHECK(text_of(load.errors()) == "");
    a.signal(SIGCONT);
}

TEST_CASE("no call fails when a new deployment takes over a unix socket and the old one drains") {
    const Directory directory;
    const std::string address = "unix:" + directory.file("socket");
    auto server = std::make_unique<Process>(
        std::vector<std::string>{"listen=" + address, "label=0", "log=" + directory.file("log")});
    auto work = rpc::connect<Job, Answer>(address, "work");
    Load load(work);
    for (int i = 1; i <= 3; ++i) {
        REQUIRE(load.goes_on());
        auto next = std::make_unique<Process>(std::vector<std::string>{
            "listen=" + address, "label=" + std::to_string(i), "log=" + directory.file("log")});
        server->signal(SIGTERM);
        CHECK(server->wait() == 0);
        server = std::move(next);
        REQUIRE(eventually([&] { return load.answered_by(std::to_string(i)); }));
    }
    load.stop();
    CHECK(text_of(load.errors()) == "");
    const auto runs = runs_in(directory.file("log"));
    CHECK(std::all_of(runs.begin(), runs.end(), [](const auto& run) { return run.second == 1; }));
}

TEST_CASE("no call fails when a new replica shares the port and the old one drains") {
    Process old({"listen=127.0.0.1:0", "share_port=1", "label=old"});
    auto work = rpc::connect<Job, Answer>(old.address(), "work");
    Load load(work);
    REQUIRE(load.goes_on());
    const Process next({"listen=" + old.address(), "share_port=1", "label=next"});
    old.signal(SIGTERM);
    CHECK(old.wait() == 0);
    CHECK(eventually([&] { return load.answered_by("next"); }));
    load.stop();
    CHECK(text_of(load.errors()) == "");
}

TEST_CASE("the items of a client that is killed leave the queue") {
    const Directory directory;
    batching::Batcher<Job, Answer> model(
        [](const std::vector<Job>& jobs) { return std::vector<Answer>(jobs.size()); },
        {.max_batch_size = 1000, .batch_timeout = batching::no_timeout});
    const auto deployment =
        rpc::deploy({.listen = "unix:" + directory.file("socket")}, "work", model);
    Process client({"connect=" + deployment.address()});
    REQUIRE(eventually([&] { return model.stats().waiting > 0; }));
    client.signal(SIGKILL);
    CHECK(client.wait() == 128 + SIGKILL);
    CHECK(eventually([&] { return model.stats().waiting == 0; }));
}

TEST_CASE("a client that sends much and does not read harms nobody, and is cut off") {
    std::atomic<std::int64_t> bytes{0};
    batching::Batcher<Job, Answer> model(
        [&](const std::vector<Job>& jobs) {
            std::vector<Answer> answers;
            for (const auto& job : jobs) answers.push_back({.id = job.id, .text = job.text});
            for (const auto& job : jobs) bytes += static_cast<std::int64_t>(job.text.size());
            return answers;
        },
        {.batch_timeout = 0ns});
    auto deployment = rpc::deploy({.listen = "127.0.0.1:0", .drain_timeout = std::chrono::hours(1)},
                                  "work", model);
    Process client({"connect=" + deployment.address(), "text=1000000"});
    REQUIRE(eventually([&] { return bytes > 100'000'000; }));
    client.signal(SIGSTOP);
    auto other = rpc::connect<Job, Answer>(deployment.address(), "work");
    for (int i = 0; i < 100; ++i) CHECK(other.process(Job{i}).get().id == i);
    deployment.stop();  // ends soon only if nobody waits any more for the client to read
    client.signal(SIGKILL);
}

TEST_CASE("a connection that says nothing harms nobody, and is closed") {
    const Process server({"listen=127.0.0.1:0"});
    const int silent = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(port_of(server.address()))));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(connect(silent, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const std::string settings(9, '\0');
    std::string hello = preface + settings;
    hello[preface.size() + 3] = 4;  // SETTINGS, empty
    REQUIRE(write(silent, hello.data(), hello.size()) == static_cast<ssize_t>(hello.size()));

    auto work = rpc::connect<Job, Answer>(server.address(), "work");
    CHECK(work.process(Job{1}).get().id == 1);
    char bytes[4096];
    CHECK(eventually([&] { return recv(silent, bytes, sizeof bytes, MSG_DONTWAIT) == 0; }));
    close(silent);
}

}  // namespace processes_test

// What a deployment tells of its Batchers: Stats, asked by anybody, and read by a StatsReader.
#include "authority.hpp"
#include "raw_client.hpp"

#include <bit>
#include <limits>

namespace stats_test {

using namespace test;
using batching::Distribution;
using batching::errc;
using batching::Stats;
using Times = Distribution<std::chrono::nanoseconds>;

// What it is as bytes: the same only if every figure is.
std::string bytes_of(const Stats& stats) {
    std::string bytes;
    wire::write_members(bytes, stats);
    return bytes;
}

template <class Function>
errc error_of(Function function) {
    try {
        function();
    } catch (const batching::Error& error) {
        return static_cast<errc>(error.code().value());
    }
    return {};
}

TEST_CASE("a deployment tells what its Batchers have done, each by its name") {
    Doubling doubling;
    batching::Batcher<int, int> busy(doubling.function(), at_once);
    batching::Batcher<int, int> idle(doubling.function(), at_once);
    const auto deployment = rpc::deploy({.listen = "127.0.0.1:0"}, "busy", busy, "idle", idle);
    for (int i = 0; i < 20; ++i) busy.process(i).get();
    const rpc::StatsReader reader(deployment.address());
    const auto seen = reader.read();
    REQUIRE(seen.size() == 2);
    CHECK(seen[0].deployment == "busy");
    CHECK(seen[1].deployment == "idle");
    CHECK(seen[0].stats.completed == 20);
    CHECK(seen[0].diagnosis == batching::diagnosis(busy.stats()));
    CHECK(bytes_of(seen[0].stats) == bytes_of(busy.stats()));
    CHECK(bytes_of(seen[1].stats) == bytes_of(idle.stats()));
}

TEST_CASE("a deployment tells what waits and runs while it does") {
    Deployed deployed({.max_batch_size = 1});
    deployed.doubling.hold();
    auto handle = deployed.connect();
    auto answers = handle.async_process_many({1, 2, 3}, aio::use_future);
    REQUIRE(deployed.doubling.called(1));
    const rpc::StatsReader reader(deployed.deployment.address());
    CHECK(eventually([&] {
        const Stats stats = reader.read().at(0).stats;
        return stats.running == 1 && stats.waiting == 2 && stats.submitted == 3;
    }));
    deployed.doubling.release();
    CHECK(answers.get().size() == 3);
}

TEST_CASE("every figure arrives as it was") {
    std::uint64_t next = 1;
    const auto fill = [&](auto& member) {
        using Member = std::remove_reference_t<decltype(member)>;
        if constexpr (std::is_same_v<Member, batching::Options>) {
            member = {.max_batch_size = 7, .batch_timeout = 0ns, .max_queue_size = 9};
        } else if constexpr (requires { member.quantile(0.5); }) {
            for (const std::uint64_t value : {0U, 1U, 63U, 64U, 1'000U, 999'999'999U}) {
                member.record(
                    typename std::conditional_t<std::is_same_v<Member, Times>,
                                                std::chrono::nanoseconds, std::size_t>(value),
                    next++);
            }
        } else {
            member = Member(next++);
        }
    };
    Stats stats;
    wire::each_field(stats, [&](unsigned, const char*, auto& member) { fill(member); });
    stats.wait_time.record(10000h);
    stats.run_time_deviation = 0.125;
    std::string response;
    wire::write_deployment_stats(response, "all", "It is full.", stats);
    std::size_t taken = 0;
    wire::read_stats_response(
        response, [&](std::string_view name, std::string_view diagnosis, const Stats& read) {
            ++taken;
            CHECK(name == "all");
            CHECK(diagnosis == "It is full.");
            CHECK(bytes_of(read) == bytes_of(stats));
            CHECK(read.options.max_batch_size == 7);
            CHECK(read.options.batch_timeout == 0ns);
            CHECK(read.options.max_queue_size == 9);
            CHECK(read.options.max_batch_weight == batching::no_limit);
            CHECK(read.options.latency_target == batching::no_timeout);
            CHECK(read.wait_time.quantile(1) == 10000h);
            CHECK(read.wait_time.mean() == stats.wait_time.mean());
            CHECK(read.batch_size.quantile(0.5) == stats.batch_size.quantile(0.5));
            CHECK(std::bit_cast<std::uint64_t>(read.run_time_deviation) ==
                  std::bit_cast<std::uint64_t>(0.125));
        });
    CHECK(taken == 1);
}

TEST_CASE("what a deployment of an older version does not tell is as it is by default") {
    Stats read;
    wire::read_members("batcher.v1.Stats", "", read);
    CHECK(bytes_of(read) == bytes_of(Stats()));
}

template <class Message>
void check_fields() {
    const Message message;
    unsigned last = 0;
    std::size_t bytes = 0;
    std::vector<std::string> names;
    wire::each_field(message, [&](unsigned number, const char* name, const auto& member) {
        CHECK(number == ++last);
        CHECK(std::find(names.begin(), names.end(), name) == names.end());
        names.emplace_back(name);
        bytes += sizeof member;
    });
    CHECK(sizeof(Message) - bytes < alignof(Message));  // but for a gap
}

TEST_CASE("all fields are sent, each with a number and a name of its own") {
    check_fields<Stats>();
    check_fields<batching::Options>();
}

TEST_CASE("figures that no Batcher can have are refused") {
    const auto refused = [](auto write) {
        std::string bytes;
        wire::write_field(bytes, 1, [&](std::string& entry) {
            wire::write_field(entry, 3,
                              [&](std::string& stats) { wire::write_field(stats, 19, write); });
        });
        return error_of([&] { wire::read_stats_response(bytes, [](auto, auto, const Stats&) {}); });
    };
    const auto most = std::numeric_limits<std::uint64_t>::max();
    // One value of 5, but for what is told otherwise.
    struct Told {
        std::uint64_t count = 1;
        double sum = 5;
        std::uint64_t smallest = 5;
        std::uint64_t largest = 5;
        int buckets = 1;
    };
    const auto refused_as = [&](const Told& told) {
        return refused([&](std::string& out) {
            for (int i = 0; i < told.buckets; ++i) {
                wire::write_field(out, 1, [&](std::string& bucket) {
                    wire::write_number(bucket, 1, 5);
                    wire::write_number(bucket, 2, told.count);
                });
            }
            wire::write_double(out, 2, told.sum);
            wire::write_number(out, 3, told.smallest);
            wire::write_number(out, 4, told.largest);
        });
    };
    CHECK(refused_as({}) == errc{});
    CHECK(refused_as({.count = most}) == errc::malformed);
    CHECK(refused_as({.count = most / 8, .buckets = 5}) == errc::malformed);
    CHECK(refused_as({.smallest = 4}) == errc::malformed);
    CHECK(refused_as({.smallest = 6}) == errc::malformed);
    CHECK(refused_as({.largest = 6}) == errc::malformed);
    CHECK(refused_as({.largest = most}) == errc::malformed);
    for (const double sum : {std::numeric_limits<double>::quiet_NaN(),
                             std::numeric_limits<double>::infinity(), -1.0}) {
        CHECK(refused_as({.sum = sum}) == errc::malformed);
    }
    std::string many;
    for (int i = 0; i < 1'001; ++i) wire::write_bytes(many, 1, "");
    CHECK(error_of([&] { wire::read_stats_response(many, [](auto, auto, const Stats&) {}); }) ==
          errc::malformed);
}

TEST_CASE("who asks often does not look at a Batcher more than once in 10 ms") {
    struct Watched final : remote::Served {
        explicit Watched(int& looks) : Served("watched", ""), looked(looks) {}
        std::unique_ptr<remote::Answer> answer(remote::IncomingCall&, remote::Request,
                                               remote::ActiveCalls&,
                                               const rpc::DeployOptions&) override {
            return nullptr;
        }
        void flush() override {}
        Stats stats() const override {
            ++looked;
            return {};
        }
        std::size_t batch_size() const noexcept override { return 1; }
        std::size_t item_size() const noexcept override { return 0; }
        int& looked;
    };
    int looked = 0;
    std::vector<std::unique_ptr<remote::Served>> served;
    served.push_back(std::make_unique<Watched>(looked));
    remote::StatsReport report(served);
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 10'000; ++i) CHECK(!report.bytes().empty());
    CHECK(looked >= 1);
    CHECK(looked <= 1 + (std::chrono::steady_clock::now() - start) / 10ms);
}

TEST_CASE("figures are for those who may call") {
    const Deployed deployed(
        at_once, {.accepts_token = [](std::string_view token) { return token == "open sesame"; }});
    const std::string address = deployed.deployment.address();
    CHECK(rpc::StatsReader(address, {.token = "open sesame"}).read().size() == 1);
    const rpc::StatsReader stranger(address);
    CHECK(error_of([&] { stranger.read(); }) == errc::unauthenticated);
    CHECK(sentence_of([&] { stranger.read(); }) ==
          "the figures of " + address + " cannot be read: the token is missing or not accepted");
}

TEST_CASE("figures come by TLS, too, and a wrong authority is told") {
    const Directory directory;
    const Authority ours(directory, "ours");
    const Authority theirs(directory, "theirs");
    const Deployed deployed(at_once, {.tls = ours.issue_for_all("server")});
    const auto reader = [&](const Authority& authority) {
        return rpc::StatsReader(deployed.deployment.address(),
                                {.tls = rpc::Tls{.root_certificates = authority.certificate()}});
    };
    CHECK(reader(ours).read().size() == 1);
    CHECK(error_of([&] { reader(theirs).read(); }) == errc::unavailable);
    CHECK(contains(sentence_of([&] { reader(theirs).read(); }), "none of the authorities in"));
}

TEST_CASE("where nobody answers, a reader says so at once, and reads as soon as somebody does") {
    const Directory directory;
    const std::string address = "unix:" + directory.file("late.sock");
    const rpc::StatsReader reader(address);
    CHECK(error_of([&] { reader.read(); }) == errc::unavailable);
    CHECK(contains(sentence_of([&] { reader.read(); }),
                   "the figures of " + address + " cannot be read: "));
    Doubling doubling;
    batching::Batcher<int, int> model(doubling.function(), at_once);
    auto deployment = rpc::deploy({.listen = address}, "late", model);
    CHECK(eventually([&] { return error_of([&] { reader.read(); }) == errc{}; }));
    CHECK(reader.read().at(0).deployment == "late");
    deployment.stop();
    CHECK(error_of([&] { reader.read(); }) == errc::unavailable);
}

TEST_CASE("a server that knows no Stats is no deployment, or an old one") {
    ::grpc::ServerBuilder builder;
    int port = 0;
    ::grpc::CallbackGenericService nothing;
    builder.AddListeningPort("127.0.0.1:0", ::grpc::InsecureServerCredentials(), &port);
    builder.RegisterCallbackGenericService(&nothing);
    const auto server = builder.BuildAndStart();
    const std::string address = "127.0.0.1:" + std::to_string(port);
    const rpc::StatsReader reader(address);
    CHECK(error_of([&] { reader.read(); }) == errc::unknown_deployment);
    CHECK(sentence_of([&] { reader.read(); }) ==
          "the figures of " + address +
              " cannot be read: what answers is no deployment, or one of an older version");
    server->Shutdown();
}

TEST_CASE("a reader's options are checked as a handle's are") {
    CHECK_THROWS_AS(rpc::StatsReader(""), std::invalid_argument);
    CHECK_THROWS_AS(rpc::StatsReader("localhost:1", {.timeout = 0ms}), std::invalid_argument);
    CHECK_THROWS_AS(
        rpc::StatsReader("localhost:1", {.tls = rpc::Tls{.root_certificates = "/no/such.pem"}}),
        std::invalid_argument);
}

}  // namespace stats_test

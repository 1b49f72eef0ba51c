// What callers ask for, on its way through a handle to the deployment: timeouts and priorities of items; and what the
// deployment's own rules make of the items of all clients.
#include "witness.hpp"

#include <algorithm>
#include <future>

using namespace test;
using batching::CallOptions;
using batching::errc;
using batching::Priority;

namespace test {

struct Word {
    std::string text;
};

}  // namespace test

template <>
struct batching::Codec<Word> {
    static std::string schema() { return "word"; }
    static void encode(const Word& word, std::string& out) {
        if (word.text == "unwritable") throw std::runtime_error("it is no word");
        out += word.text;
    }
    static Word decode(std::string_view bytes) { return {std::string(bytes)}; }
};

namespace {

constexpr batching::Options until_flushed{.max_batch_size = 8,
                                          .batch_timeout = batching::no_timeout};
constexpr batching::Options one_by_one{.max_batch_size = 1, .batch_timeout = 0ns};

std::string packed(int item) {
    std::string bytes;
    batching::Codec<int>::encode(item, bytes);
    return bytes;
}

std::string request_asking(const std::vector<int>& items, const std::vector<CallOptions>& asked) {
    std::vector<std::string> encoded;
    for (const int item : items) encoded.push_back(packed(item));
    std::string bytes = request_of("doubling", encoded);
    wire::write_asked(bytes, asked);
    return bytes;
}

std::future<RawReply> start(RawClient& client, const std::string& bytes) {
    return std::async(std::launch::async, [&client, bytes] { return client.process(bytes); });
}

// A deployment of doubling with rules.
template <class... Rules>
struct Ruled {
    Doubling doubling;
    batching::Batcher<int, int> model;
    rpc::Deployment deployment;

    explicit Ruled(batching::Options options, Rules... rules)
        : model(doubling.function(), options, std::move(rules)...),
          deployment(rpc::deploy({.listen = "127.0.0.1:0"}, "doubling", model)) {}
    Ruled(const Ruled&) = delete;
    Ruled& operator=(const Ruled&) = delete;
    ~Ruled() { doubling.release(); }
    batching::Batcher<int, int> connect() const {
        return rpc::connect<int, int>(deployment.address(), "doubling");
    }
};

template <class Deployed>
bool waits(Deployed& deployed, std::size_t items) {
    return eventually([&] { return deployed.model.stats().waiting == items; });
}

std::optional<batching::Error> error_of(std::future<int>& call) {
    try {
        call.get();
        return std::nullopt;
    } catch (const batching::Error& error) {
        return error;
    }
}

}  // namespace

// ---- what a handle sends --------------------------------------------------------------------------------

TEST_CASE("if nobody asks for anything, a handle sends what it always has") {
    Witness witness;
    auto handle = rpc::connect<int, int>(witness.address(), "doubling");
    const auto always = request_of("doubling", {packed(21)}, "int -> int");
    CHECK(handle.process(21).get() == 42);
    CHECK(handle.process(21, CallOptions{}).get() == 42);
    CHECK(handle.process_many({21}, CallOptions{}).get() == std::vector{42});
    CHECK(witness.requests() == std::vector(3, always));
}

TEST_CASE(
    "a handle sends for each item of a message what is left of its timeout, and its priority") {
    Witness witness;
    auto handle = rpc::connect<Word, int>(witness.address(), "doubling",
                                          {.timeout = 30s, .calls_in_flight = 1});
    witness.hold();
    auto first = handle.async_process({"first"}, aio::use_future);
    REQUIRE(witness.asked(1));
    const auto call = [&](const char* text, CallOptions options) {
        return handle.async_process({text}, options, aio::use_future);
    };
    auto hours = call("hours", {.timeout = 2h});
    auto unwritable = call("unwritable", {.timeout = 1h});
    auto low = call("low", {.priority = Priority::low});
    auto plain = handle.async_process({"plain"}, aio::use_future);
    auto high = call("high", {.timeout = 1min, .priority = Priority::high});
    witness.release();
    for (auto* sent : {&first, &hours, &low, &plain, &high}) CHECK(sent->get() == 42);
    CHECK(error_of(unwritable)->code() == errc::malformed);

    const std::string bytes = witness.requests().back();
    const auto request = wire::read_request(bytes, 10);
    CHECK(request.items == std::vector<std::string_view>{"high", "hours", "plain", "low"});
    REQUIRE(request.asked.size() == 4);
    const auto& asked = request.asked;
    CHECK(asked[0].priority == Priority::high);
    CHECK(asked[0].timeout > 30s);
    CHECK(asked[0].timeout < 1min);
    CHECK(asked[1].priority == Priority::normal);
    CHECK(asked[1].timeout > 1h);
    CHECK(asked[1].timeout < 2h);
    CHECK(asked[2].timeout == batching::no_timeout);
    CHECK(asked[2].priority == Priority::normal);
    CHECK(asked[3].timeout == batching::no_timeout);
    CHECK(asked[3].priority == Priority::low);
}

TEST_CASE(
    "what is asked for items goes with them into several messages, none of which is too large") {
    Witness witness;
    auto handle = rpc::connect<int, int>(witness.address(), "doubling",
                                         {.calls_in_flight = 1, .max_message_size = 200});
    const std::vector<int> items(100, 21);
    const auto results =
        handle.process_many(items, {.timeout = 1h, .priority = Priority::low}).get();
    CHECK(results == std::vector(100, 42));
    const auto messages = witness.requests();
    CHECK(messages.size() > 5);
    std::size_t sent = 0;
    for (const auto& bytes : messages) {
        CHECK(bytes.size() <= 200);
        const auto request = wire::read_request(bytes, 100);
        CHECK(request.asked.size() == request.items.size());
        sent += request.items.size();
        for (const auto& asked : request.asked) {
            CHECK(asked.timeout > 59min);
            CHECK(asked.priority == Priority::low);
        }
    }
    CHECK(sent == 100);
}

TEST_CASE(
    "a call that is made later is given its time in a message that it does not stand last in") {
    Deployed deployed;
    deployed.doubling.hold();
    auto handle = deployed.connect({.timeout = 1s, .calls_in_flight = 1});
    auto first = handle.async_process(1, aio::use_future);
    REQUIRE(deployed.doubling.called(1));
    auto early = handle.async_process(2, aio::use_future);
    const auto made = std::chrono::steady_clock::now();
    REQUIRE(eventually([&] { return std::chrono::steady_clock::now() > made + 500ms; }));
    auto late = handle.async_process(3, {.priority = Priority::high}, aio::use_future);
    deployed.doubling.step();
    CHECK(first.get() == 2);
    REQUIRE(deployed.doubling.called(2));
    CHECK(deployed.doubling.batches().back() == std::vector{3, 2});
    CHECK(error_of(early)->code() == errc::deadline_exceeded);
    deployed.doubling.release();
    CHECK(late.get() == 6);
}

TEST_CASE("a deployment that calls another passes on what is asked") {
    Witness behind;
    auto forward = rpc::connect<int, int>(behind.address(), "doubling");
    const auto proxy = rpc::deploy({.listen = "127.0.0.1:0"}, "doubling", forward);
    auto handle = rpc::connect<int, int>(proxy.address(), "doubling");
    CHECK(handle.process(21, {.timeout = 1h, .priority = Priority::high}).get() == 42);
    const std::string bytes = behind.requests().back();
    const auto request = wire::read_request(bytes, 1);
    REQUIRE(request.asked.size() == 1);
    CHECK(request.asked[0].priority == Priority::high);
    CHECK(request.asked[0].timeout > 59min);
    CHECK(request.asked[0].timeout < 1h);
}

// ---- what the deployment makes of it --------------------------------------------------------------------

TEST_CASE("an item whose time is over in the deployment's queue never runs, and the others do") {
    Deployed deployed(until_flushed);
    RawClient client(deployed.deployment.address());
    auto replied = start(client, request_asking({1, 2}, {{.timeout = 1ms}, {}}));
    CHECK(eventually([&] { return deployed.model.stats().expired == 1; }));
    REQUIRE(waits(deployed, 1));
    deployed.model.flush();
    const auto reply = replied.get();
    REQUIRE(reply.status.ok());
    const auto results = results_in(reply, 2);
    CHECK(results[0].code == ::grpc::StatusCode::DEADLINE_EXCEEDED);
    CHECK(contains(std::string(results[0].message), "while the item waited for its batch"));
    CHECK(results[1].value == packed(4));
    CHECK(deployed.doubling.batches() == std::vector<std::vector<int>>{{2}});
}

TEST_CASE(
    "a caller with a timeout leaves the deployment's queue, and who shares its message does not") {
    Deployed deployed(until_flushed);
    auto handle = deployed.connect({.calls_in_flight = 1});
    auto first = handle.async_process(1, aio::use_future);
    REQUIRE(waits(deployed, 1));
    auto hasty = handle.async_process(2, {.timeout = 500ms}, aio::use_future);
    auto other = handle.async_process(3, aio::use_future);
    deployed.model.flush();
    CHECK(first.get() == 2);
    CHECK(error_of(hasty)->code() == errc::deadline_exceeded);
    CHECK(eventually([&] { return deployed.model.stats().expired == 1; }));
    REQUIRE(waits(deployed, 1));
    CHECK(deployed.model.stats().cancelled == 0);
    deployed.model.flush();
    CHECK(other.get() == 6);
    CHECK(deployed.doubling.batches() == std::vector<std::vector<int>>{{1}, {3}});
}

TEST_CASE("an item of a high priority overtakes those of other clients in the deployment") {
    Deployed deployed(one_by_one);
    deployed.doubling.hold();
    auto one = deployed.connect();
    auto running = one.async_process(0, aio::use_future);
    REQUIRE(deployed.doubling.called(1));
    auto many = one.async_process_many({1, 2}, aio::use_future);
    REQUIRE(waits(deployed, 2));
    auto other = deployed.connect();
    auto low = other.async_process(3, {.priority = Priority::low}, aio::use_future);
    REQUIRE(waits(deployed, 3));
    auto high = other.async_process(4, {.priority = Priority::high}, aio::use_future);
    REQUIRE(waits(deployed, 4));
    deployed.doubling.release();
    CHECK(high.get() == 8);
    CHECK(low.get() == 6);
    CHECK(many.get() == std::vector{2, 4});
    CHECK(running.get() == 0);
    CHECK(deployed.doubling.batches() == std::vector<std::vector<int>>{{0}, {4}, {1}, {2}, {3}});
}

TEST_CASE("each item of a message has its own priority, also if one before it cannot be read") {
    Deployed deployed(one_by_one);
    deployed.doubling.hold();
    RawClient client(deployed.deployment.address());
    auto running = start(client, request_asking({0}, {}));
    REQUIRE(deployed.doubling.called(1));
    std::string bytes = request_of("doubling", {packed(1), "\xc1", packed(2), packed(3)});
    wire::write_asked(bytes, std::vector<CallOptions>{{.priority = Priority::low},
                                                      {.priority = Priority::low},
                                                      {.priority = Priority::high},
                                                      {}});
    auto replied = start(client, bytes);
    REQUIRE(waits(deployed, 3));
    deployed.doubling.release();
    const auto reply = replied.get();
    const auto results = results_in(reply, 4);
    CHECK(results[0].value == packed(2));
    CHECK(results[1].code == ::grpc::StatusCode::INVALID_ARGUMENT);
    CHECK(results[2].value == packed(4));
    CHECK(results[3].value == packed(6));
    CHECK(running.get().status.ok());
    CHECK(deployed.doubling.batches() == std::vector<std::vector<int>>{{0}, {2}, {3}, {1}});
}

TEST_CASE("items of two clients that are equal share one place in the deployment") {
    Ruled deployed(until_flushed, batching::deduplicate());
    auto one = deployed.connect();
    auto other = deployed.connect();
    auto a = one.async_process(21, aio::use_future);
    auto b = other.async_process(21, {.priority = Priority::high}, aio::use_future);
    REQUIRE(waits(deployed, 2));
    deployed.model.flush();
    CHECK(a.get() == 42);
    CHECK(b.get() == 42);
    CHECK(deployed.doubling.batches() == std::vector<std::vector<int>>{{21}});
    CHECK(deployed.model.stats().deduplicated == 1);
}

TEST_CASE("items of two clients share a batch of the deployment only if their keys are equal") {
    Ruled deployed(until_flushed, batching::key_by([](int item) { return item % 2; }));
    auto one = deployed.connect();
    auto other = deployed.connect();
    auto a = one.async_process_many({1, 2}, aio::use_future);
    REQUIRE(waits(deployed, 2));
    auto b = other.async_process_many({3, 4}, aio::use_future);
    REQUIRE(waits(deployed, 4));
    deployed.model.flush();
    CHECK(a.get() == std::vector{2, 4});
    CHECK(b.get() == std::vector{6, 8});
    auto batches = deployed.doubling.batches();
    std::ranges::sort(batches);
    CHECK(batches == std::vector<std::vector<int>>{{1, 3}, {2, 4}});
}

TEST_CASE("items of two clients fill a batch of the deployment by their weights") {
    auto options = at_once;
    options.max_batch_weight = 10;
    Ruled deployed(options,
                   batching::weigh([](int item) { return static_cast<std::size_t>(item); }));
    deployed.doubling.hold();
    auto one = deployed.connect();
    auto other = deployed.connect();
    auto running = one.async_process(1, aio::use_future);
    REQUIRE(deployed.doubling.called(1));
    auto a = one.async_process_many({6, 3}, aio::use_future);
    REQUIRE(waits(deployed, 2));
    auto b = other.async_process(4, aio::use_future);
    REQUIRE(waits(deployed, 3));
    deployed.doubling.release();
    CHECK(a.get() == std::vector{12, 6});
    CHECK(b.get() == 8);
    CHECK(running.get() == 2);
    CHECK(deployed.doubling.batches() == std::vector<std::vector<int>>{{1}, {6, 3}, {4}});

    const auto heavy = call(other, 11);
    CHECK(heavy.error == errc::too_heavy);
    CHECK(contains(
        heavy.sentence,
        "refused the item: an item of weight 11 alone is heavier than max_batch_weight, 10"));
}

TEST_CASE("an item that a deployment's handle refuses for its types is not too heavy") {
    const Deployed behind;
    auto forward = rpc::connect<std::string, int>(behind.deployment.address(), "doubling");
    const auto proxy = rpc::deploy({.listen = "127.0.0.1:0"}, "proxy", forward);
    auto handle = rpc::connect<std::string, int>(proxy.address(), "proxy");
    const auto ended = call(handle, std::string("21"));
    CHECK(ended.error == errc::remote_failure);
    CHECK(contains(ended.sentence, "has other types"));
}

// ---- when to try again ----------------------------------------------------------------------------------

TEST_CASE("when to try again is told to the caller of a deployment whose queue is full") {
    Deployed deployed({.max_batch_size = 1, .batch_timeout = 0ns, .max_queue_size = 1});
    auto handle = deployed.connect();
    for (int i = 0; i < 40; ++i) handle.process(i).get();  // so that it knows how long that takes
    deployed.doubling.hold();
    auto running = handle.async_process(1, aio::use_future);
    REQUIRE(deployed.doubling.called(41));
    auto waiting = handle.async_process(2, aio::use_future);
    REQUIRE(waits(deployed, 1));
    auto other = deployed.connect();
    auto refused = other.async_process(3, aio::use_future);
    const auto error = error_of(refused);
    REQUIRE(error);
    CHECK(error->code() == errc::overloaded);
    CHECK(error->retry_after() > 0ns);
    CHECK(contains(error->what(),
                   "refused the item: the queue is full: 1 of at most 1 items wait; "
                   "retry in about "));
    deployed.doubling.release();
    CHECK(running.get() == 2);
    CHECK(waiting.get() == 4);
}

TEST_CASE("a deployment that does not say when to try again, as an older one, says nothing") {
    for (const auto retry_after : {std::optional<std::chrono::nanoseconds>(5ms), {}}) {
        std::string reply;
        wire::write_failure(reply, ::grpc::StatusCode::RESOURCE_EXHAUSTED, "full", retry_after);
        Witness witness(reply);
        auto handle = rpc::connect<int, int>(witness.address(), "doubling");
        auto refused = handle.async_process(1, aio::use_future);
        const auto error = error_of(refused);
        REQUIRE(error);
        CHECK(error->code() == errc::overloaded);
        CHECK(error->retry_after() == retry_after);
    }
}

// ---- what else may come ---------------------------------------------------------------------------------

TEST_CASE("a time is never sent as if there were none, and one that cannot be told is none") {
    CHECK(wire::sent_time(0ns) == 1);
    CHECK(wire::sent_time(-1h) == 1);
    CHECK(wire::time_of(wire::sent_time(50ms)) == 50ms);
    CHECK(wire::time_of(0) == std::nullopt);
    CHECK(wire::time_of(~std::uint64_t{0}) == std::nullopt);
    CHECK(wire::time_of(std::uint64_t{1} << 63U) == std::nullopt);
}

TEST_CASE("fields that a deployment does not know are nothing to it") {
    const Deployed deployed;
    RawClient client(deployed.deployment.address());
    std::string bytes = request_asking({21}, {{.timeout = 1h}});
    wire::write_number(bytes, 6, 7);
    wire::write_bytes(bytes, 15, "of a later version");
    const auto reply = client.process(bytes);
    REQUIRE(reply.status.ok());
    CHECK(results_in(reply, 1)[0].value == packed(42));
}

TEST_CASE("what is asked may be packed in parts or stand alone, and before the items") {
    Deployed deployed(one_by_one);
    deployed.doubling.hold();
    RawClient client(deployed.deployment.address());
    auto running = start(client, request_asking({0}, {}));
    REQUIRE(deployed.doubling.called(1));
    std::string bytes;
    wire::write_number(bytes, 5, 1);
    wire::write_numbers(bytes, 5, std::vector<std::uint64_t>{0, 2});
    wire::write_numbers(bytes, 4,
                        std::vector<std::uint64_t>{0, ~std::uint64_t{0}, 1'000'000'000'000});
    bytes += request_of("doubling", {packed(1), packed(2), packed(3)});
    auto replied = start(client, bytes);
    REQUIRE(waits(deployed, 3));
    deployed.doubling.release();
    CHECK(results_in(replied.get(), 3)[2].value == packed(6));
    CHECK(running.get().status.ok());
    CHECK(deployed.doubling.batches() == std::vector<std::vector<int>>{{0}, {3}, {2}, {1}});
}

TEST_CASE("what is asked and does not fit the items is refused, and the deployment goes on") {
    const Deployed deployed(at_once, {.max_items_per_call = 5});
    RawClient client(deployed.deployment.address());
    const std::string two = request_of("doubling", {packed(1), packed(2)});
    const auto refusal = [&](unsigned field, const std::vector<std::uint64_t>& numbers) {
        std::string bytes = two;
        wire::write_numbers(bytes, field, numbers);
        const auto reply = client.process(bytes);
        CHECK(reply.status.error_code() == ::grpc::StatusCode::INVALID_ARGUMENT);
        return reply.status.error_message();
    };
    CHECK(contains(refusal(4, {5}), "it has 1 timeouts for 2 items"));
    CHECK(contains(refusal(4, {5, 6, 7}), "it has 3 timeouts for 2 items"));
    CHECK(contains(refusal(5, {1}), "it has 1 priorities for 2 items"));
    CHECK(contains(refusal(5, {0, 3}), "a priority is 3, and there are 0, 1 and 2"));
    CHECK(contains(refusal(5, {0, ~std::uint64_t{0}}), "a priority is 18446744073709551615"));
    CHECK(contains(refusal(4, std::vector<std::uint64_t>(6, 1)), "more than 5 items"));

    std::string unending = two;
    wire::write_bytes(unending, 4, "\xff\xff");
    CHECK(contains(client.process(unending).status.error_message(), "a number does not end"));
    std::string busy = two;
    for (int i = 0; i < 1100; ++i) wire::write_bytes(busy, 4, "");
    CHECK(contains(client.process(busy).status.error_message(), "too many fields"));
    CHECK(client.process(two).status.ok());
}

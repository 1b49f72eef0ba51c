// What batcher/v1/deployment.proto says to other languages.
#include "raw_client.hpp"

namespace languages_test {

using namespace test;

struct Pair {
    std::int8_t number = 7;
    float share = 0.5;
    std::string text = "none";
    MSGPACK_DEFINE(number, share, text)
};

struct Named {
    int a = 1;
    double b = 2;
    MSGPACK_DEFINE_MAP(a, b)
};

// Deploys a function that describes its items, as it was given them, and gives the results of those.
template <class In, class Describe>
std::vector<std::string> seen_as(const std::vector<std::string>& items, Describe describe) {
    batching::Batcher<In, std::string> model(
        [&](const std::vector<In>& all) {
            std::vector<std::string> texts;
            for (const In& item : all) texts.push_back(describe(item));
            return texts;
        },
        at_once);
    const auto deployment = rpc::deploy({.listen = "127.0.0.1:0"}, "model", model);
    RawClient client(deployment.address());
    const auto reply = client.process(request_of("model", items));
    REQUIRE(reply.status.ok());
    std::vector<std::string> seen;
    for (const auto& result : results_in(reply, items.size())) {
        seen.push_back(result.has_value ? batching::Codec<std::string>::decode(result.value)
                                        : "code " + std::to_string(result.code));
    }
    return seen;
}

TEST_CASE("a struct with MSGPACK_DEFINE is an array in field order, whose end may be missing") {
    const auto seen =
        seen_as<Pair>({"\x93\x01\x02\xa1x", std::string("\x93\xff\x01\xc4\x01y", 6), "\x91\x05",
                       "\x90", "\x94\x01\x01\xa1x\x63", "\x93\xcc\x80\x01\xa1x", "\x81\xa1x\x01"},
                      [](const Pair& p) {
                          return std::to_string(p.number) + ' ' +
                                 std::to_string(p.share).substr(0, 3) + ' ' + p.text;
                      });
    CHECK(seen == std::vector<std::string>{"1 2.0 x", "-1 1.0 y", "5 0.5 none", "7 0.5 none",
                                           "1 1.0 x", "code 3", "code 3"});
}

TEST_CASE("a struct with MSGPACK_DEFINE_MAP is a map, in which names may be missing or unknown") {
    const auto seen = seen_as<Named>(
        {"\x82\xa1"
         "b\x05\xa1"
         "a\x04",
         "\x80",
         "\x81\xa1"
         "c\x05"},
        [](const Named& n) { return std::to_string(n.a + 10 * static_cast<int>(n.b)); });
    CHECK(seen == std::vector<std::string>{"54", "21", "21"});
}

TEST_CASE("the result of a function that gives nothing has a value of 0 bytes") {
    batching::Batcher<int, void> model([](const std::vector<int>&) {}, at_once);
    const auto deployment = rpc::deploy({.listen = "127.0.0.1:0"}, "model", model);
    RawClient client(deployment.address());
    const auto reply = client.process(request_of("model", {"\x01"}, "int -> nothing"));
    REQUIRE(reply.status.ok());
    const auto result = results_in(reply, 1)[0];
    CHECK(result.has_value);
    CHECK(result.value.empty());
}

TEST_CASE("a call that was refused says who refused it") {
    Deployed deployed;
    const auto marks_of = [&](const std::string& deployment) {
        ::grpc::GenericStub stub(::grpc::CreateChannel(deployed.deployment.address(),
                                                       ::grpc::InsecureChannelCredentials()));
        ::grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + 30s);
        const auto request = remote::to_buffer(request_of(deployment, {}));
        ::grpc::ByteBuffer reply;
        std::promise<void> done;
        stub.UnaryCall(&context, remote::process_method, {}, &request, &reply,
                       [&](const ::grpc::Status&) { done.set_value(); });
        done.get_future().wait();
        const auto& metadata = context.GetServerTrailingMetadata();
        return std::pair(metadata.count("batcher-deployment"),
                         metadata.count("batcher-not-accepted"));
    };
    CHECK(marks_of("nobody") == std::pair<std::size_t, std::size_t>(1, 0));
    CHECK(marks_of("doubling") == std::pair<std::size_t, std::size_t>(1, 0));
}

}  // namespace languages_test

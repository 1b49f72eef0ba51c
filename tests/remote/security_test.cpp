#include "authority.hpp"
#include "deployed.hpp"

namespace security_test {

using namespace test;
using batching::errc;

TEST_CASE("with TLS a handle trusts its own authorities only") {
    const Directory directory;
    const Authority ours(directory, "ours");
    const Authority theirs(directory, "theirs");
    const rpc::Tls server = ours.issue_for_all("server");
    const Deployed deployed(at_once, {.tls = server});

    auto trusting = deployed.connect({.tls = rpc::Tls{.root_certificates = ours.certificate()}});
    CHECK(trusting.process(21).get() == 42);

    auto wary = deployed.connect(
        {.timeout = 1s, .tls = rpc::Tls{.root_certificates = theirs.certificate()}});
    const auto refused = call(wary, 1);
    CHECK(refused.error == errc::unavailable);
    CHECK(contains(refused.sentence, "cannot be reached: its certificate"));

    auto open = deployed.connect({.timeout = 1s});
    CHECK(call(open, 1).error == errc::unavailable);
}

TEST_CASE("PEM files are read once, by connect()") {
    auto directory = std::make_unique<Directory>();
    const Authority ours(*directory, "ours");
    rpc::Tls server = ours.issue("server");
    const Deployed deployed(at_once, {.tls = server});
    auto handle = deployed.connect({.tls = server});
    directory.reset();
    for (int i = 0; i < 3; ++i) CHECK(handle.process(21).get() == 42);
}

TEST_CASE("with mutual TLS a deployment answers the clients of its authorities only") {
    const Directory directory;
    const Authority ours(directory, "ours");
    const Authority theirs(directory, "theirs");
    const Deployed deployed(at_once, {.tls = ours.issue("server")});

    auto known = deployed.connect({.tls = ours.issue("client")});
    CHECK(known.process(21).get() == 42);

    rpc::Tls forged = theirs.issue("client");
    forged.root_certificates = ours.certificate();
    auto stranger = deployed.connect({.timeout = 1s, .tls = forged});
    CHECK(call(stranger, 1).error == errc::unavailable);

    auto nameless =
        deployed.connect({.timeout = 1s, .tls = rpc::Tls{.root_certificates = ours.certificate()}});
    CHECK(call(nameless, 1).error == errc::unavailable);
    CHECK(deployed.model.stats().submitted == 1);
}

TEST_CASE("a deployment answers only those whose token it accepts") {
    const Deployed deployed(
        at_once, {.accepts_token = [](std::string_view token) { return token == "open sesame"; }});
    CHECK(deployed.connect({.token = "open sesame"}).process(21).get() == 42);

    auto wrong = deployed.connect({.token = "open barley"});
    const auto refused = call(wrong, 1);
    CHECK(refused.error == errc::unauthenticated);
    CHECK(contains(refused.sentence, "the token is missing or not accepted"));

    auto none = deployed.connect();
    CHECK(call(none, 1).error == errc::unauthenticated);
    CHECK(deployed.model.stats().submitted == 1);
}

TEST_CASE("whatever accepts_token throws, the caller learns that it is refused, and no more") {
    const Deployed deployed(at_once, {.accepts_token = [](std::string_view) -> bool {
                                throw std::runtime_error("the password file is /etc/secrets");
                            }});
    auto handle = deployed.connect({.token = "open sesame"});
    const auto refused = call(handle, 1);
    CHECK(refused.error == errc::unauthenticated);
    CHECK(contains(refused.sentence, "the token is missing or not accepted"));
    CHECK_FALSE(contains(refused.sentence, "/etc/secrets"));
}

TEST_CASE("the scheme before a token may be written in any case") {
    const Deployed deployed(at_once,
                            {.accepts_token = [](std::string_view token) { return token == "x"; }});
    for (const std::string value : {"Bearer x", "bearer x", "BEARER x"}) {
        auto handle = deployed.connect({.metadata = {{"authorization", value}}});
        CHECK(handle.process(21).get() == 42);
    }
    for (const std::string value : {"Bearer X", "Basic x", "Bearerx", "x", ""}) {
        auto handle = deployed.connect({.metadata = {{"authorization", value}}});
        CHECK(call(handle, 1).error == errc::unauthenticated);
    }
}

TEST_CASE("metadata goes with every call") {
    const Deployed deployed(at_once,
                            {.accepts_token = [](std::string_view token) { return token == "x"; }});
    auto handle = deployed.connect({.metadata = {{"authorization", "Bearer x"}}});
    CHECK(handle.process(21).get() == 42);
}

TEST_CASE("what cannot be sent as metadata is refused by name") {
    const auto refusal = [](rpc::ConnectOptions options) {
        return sentence_of([&] { rpc::connect<int, int>("x", "y", std::move(options)); });
    };
    CHECK(refusal({.token = "secret\n"}) ==
          "token must be printable ASCII, as metadata is, and has a byte of value 10 at 6");
    CHECK(refusal({.metadata = {{"X-Request", "1"}}}) ==
          "the key \"X-Request\" in metadata must be of a-z, 0-9, '-', '_' and '.'");
    CHECK(refusal({.metadata = {{"", "1"}}}) != "");
    CHECK(refusal({.metadata = {{"grpc-timeout", "1"}}}) ==
          "the key \"grpc-timeout\" in metadata is one of gRPC's own");
    CHECK(contains(refusal({.metadata = {{"key", "a\x7f"}}}), "a byte of value 127 at 1"));
    const Deployed deployed;
    auto handle = deployed.connect({.metadata = {{"key-bin", std::string("\0\n", 2)}}});
    CHECK(handle.process(21).get() == 42);
}

}  // namespace security_test

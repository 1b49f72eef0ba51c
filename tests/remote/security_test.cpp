#include "deployed.hpp"

#include <cstdlib>
#include <fstream>

using namespace test;
using batching::errc;

namespace {

void run(const std::string& command) {
    if (std::system((command + " >/dev/null 2>&1").c_str()) != 0) {
        throw std::runtime_error("failed: " + command);
    }
}

// An authority, and certificates that it has signed.
class Authority {
public:
    explicit Authority(const Directory& directory, const std::string& name)
        : directory_(directory), name_(name) {
        run("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=" + name + " -keyout " +
            key() + " -out " + certificate());
    }

    std::string certificate() const { return directory_.file(name_ + ".pem"); }

    // For "localhost" and 127.0.0.1, with this authority as the one to trust.
    rpc::Tls issue(const std::string& whom) const {
        const std::string base = directory_.file(name_ + '-' + whom);
        std::ofstream(base + ".ext") << "subjectAltName=DNS:localhost,IP:127.0.0.1\n";
        run("openssl req -newkey rsa:2048 -nodes -subj /CN=" + whom + " -keyout " + base +
            ".key -out " + base + ".csr");
        run("openssl x509 -req -days 2 -in " + base + ".csr -CA " + certificate() + " -CAkey " +
            key() + " -CAcreateserial -extfile " + base + ".ext -out " + base + ".pem");
        return {.root_certificates = certificate(),
                .certificate = base + ".pem",
                .private_key = base + ".key"};
    }

private:
    std::string key() const { return directory_.file(name_ + ".key"); }

    const Directory& directory_;
    std::string name_;
};

}  // namespace

TEST_CASE("with TLS a handle trusts its own authorities only") {
    const Directory directory;
    const Authority ours(directory, "ours");
    const Authority theirs(directory, "theirs");
    rpc::Tls server = ours.issue("server");
    server.root_certificates.clear();  // any client
    const Deployed deployed(at_once, {.tls = server});

    auto trusting = deployed.connect({.tls = rpc::Tls{.root_certificates = ours.certificate()}});
    CHECK(trusting.process(21).get() == 42);

    auto wary = deployed.connect(
        {.timeout = 1s, .tls = rpc::Tls{.root_certificates = theirs.certificate()}});
    const auto refused = call(wary, 1);
    CHECK(refused.error == errc::deadline_exceeded);
    CHECK(contains(refused.sentence, "could not be reached within 1000 ms"));
    CHECK(contains(refused.sentence, "handshake"));

    auto open = deployed.connect({.timeout = 1s});
    CHECK(call(open, 1).error.has_value());
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
    CHECK(call(stranger, 1).error.has_value());

    auto nameless =
        deployed.connect({.timeout = 1s, .tls = rpc::Tls{.root_certificates = ours.certificate()}});
    CHECK(call(nameless, 1).error.has_value());
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

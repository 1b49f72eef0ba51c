// Mistakes in addresses and in TLS: each gives one sentence that says what to do, and none waits for the timeout.
#include <fmt/format.h>
#include <sys/un.h>

#include "authority.hpp"
#include "deployed.hpp"

#include <array>
#include <fstream>
#include <optional>
#include <string>
#include <thread>

namespace mistakes_test {

using namespace test;
using batching::errc;

std::string connecting(const std::string& address, rpc::ConnectOptions options = {}) {
    return sentence_of([&] { rpc::connect<int, int>(address, "doubling", std::move(options)); });
}
std::string deploying(rpc::DeployOptions options) {
    Doubling doubling;
    batching::Batcher<int, int> model(doubling.function(), at_once);
    if (options.listen.all().empty()) options.listen = "127.0.0.1:0";
    return sentence_of([&] { std::ignore = rpc::deploy(std::move(options), "doubling", model); });
}

// What a call is told that cannot be sent. Its timeout is longer than a test may take.
std::string refusal(const Deployed& deployed, rpc::ConnectOptions options) {
    options.timeout = std::chrono::hours(1);
    auto handle = deployed.connect(std::move(options));
    const auto ended = call(handle, 1);
    CHECK(ended.error == errc::unavailable);
    const std::string beginning =
        "the deployment \"doubling\" at " + deployed.deployment.address() + " cannot be reached: ";
    CHECK(ended.sentence.substr(0, beginning.size()) == beginning);
    return ended.sentence.substr(std::min(beginning.size(), ended.sentence.size()));
}

TEST_CASE("an address that is empty, or too long for a unix socket, is refused with what to do") {
    CHECK(connecting("") ==
          "an address is empty: write \"host:port\", or \"unix:/path\" on one machine");
    CHECK(deploying({.listen = ""}) == connecting(""));
    const std::string address = "unix:/" + std::string(150, 'x');
    CHECK(connecting(address) ==
          fmt::format("the path of a unix socket has at most {} bytes, and that of {} has 151",
                      sizeof(sockaddr_un::sun_path) - 1, address));
    CHECK(deploying({.listen = address}) == connecting(address));
}

TEST_CASE("a file that is not of the PEM kind that it should be is refused, on both sides") {
    const Directory directory;
    const Authority ours(directory, "ours");
    const rpc::Tls good = ours.issue("server");
    const std::string text = directory.file("text");
    std::ofstream(text) << "no certificate\n";
    const auto wrong = [](const std::string& file, const std::string& kind) {
        return "the PEM file " + file + " has no line \"-----BEGIN " + kind +
               "-----\": it is another file, or damaged";
    };
    CHECK(connecting("x:1", {.tls = rpc::Tls{.root_certificates = text}}) ==
          wrong(text, "CERTIFICATE"));
    rpc::Tls swapped = good;
    std::swap(swapped.certificate, swapped.private_key);
    CHECK(contains(connecting("x:1", {.tls = swapped}), " has no line \"-----BEGIN CERTIFICATE"));
    swapped.certificate = good.certificate;
    swapped.private_key = good.certificate;
    CHECK(deploying({.tls = swapped}) == wrong(good.certificate, "PRIVATE KEY"));
    swapped.private_key = "";
    CHECK(connecting("x:1", {.tls = swapped}) ==
          "tls of a handle needs both a certificate and its private_key, or neither");
}

TEST_CASE("a private key that does not fit its certificate is named, on both sides") {
    const Directory directory;
    const Authority ours(directory, "ours");
    const rpc::Tls good = ours.issue("server");
    rpc::Tls mixed = good;
    mixed.private_key = ours.issue("another").private_key;
    const std::string sentence = "the private key " + mixed.private_key +
                                 " does not fit the certificate " + mixed.certificate +
                                 ", or one of the PEM files of tls is damaged";
    CHECK(deploying({.tls = mixed}) == sentence);
    const Deployed deployed(at_once, {.tls = good});
    CHECK(refusal(deployed, {.tls = mixed}) == sentence);
}

TEST_CASE(
    "a certificate of another authority, for another name, or that has expired fails calls at "
    "once") {
    const Directory directory;
    const Authority ours(directory, "ours");
    const Authority theirs(directory, "theirs");
    const rpc::Tls server = ours.issue_for_all("server");
    const Deployed deployed(at_once, {.tls = server});

    const auto expired_or_not_signed = [](const std::string& roots) {
        return "its certificate has expired, or none of the authorities in " + roots +
               " has signed it";
    };
    CHECK(refusal(deployed, {.tls = rpc::Tls{.root_certificates = theirs.certificate()}}) ==
          expired_or_not_signed(theirs.certificate()));
    CHECK(refusal(deployed, {.tls = rpc::Tls{.root_certificates = ours.certificate(),
                                             .server_name = "other.example"}}) ==
          "its certificate is not for other.example; name in tls.server_name one that it is for");

    const rpc::Tls old = ours.issue_for_all("old", -1);
    const Deployed outdated(at_once, {.tls = old});
    CHECK(refusal(outdated, {.tls = rpc::Tls{.root_certificates = ours.certificate()}}) ==
          expired_or_not_signed(ours.certificate()));
}

TEST_CASE("a handle without TLS at a port that has it finds that out at once") {
    const Directory directory;
    const Authority ours(directory, "ours");
    const Deployed secure(at_once, {.tls = ours.issue_for_all("server")});
    CHECK(refusal(secure, {}) == "it speaks TLS on this port; set tls, or connect to another port");
}

TEST_CASE("a client whose certificate is refused, or that has none, is told so at once") {
    const Directory directory;
    const Authority ours(directory, "ours");
    const Authority theirs(directory, "theirs");
    const Deployed mutual(at_once, {.tls = ours.issue("server")});
    const auto refused = [](const rpc::Tls& client) {
        return "it refuses the certificate " + client.certificate +
               ", which has expired, or none of its authorities has signed it";
    };
    CHECK(refusal(mutual, {.tls = rpc::Tls{.root_certificates = ours.certificate()}}) ==
          "it asks its clients for a certificate; name one that its authorities have signed in "
          "tls.certificate, and the key of it in tls.private_key");
    rpc::Tls stranger = theirs.issue("client");
    stranger.root_certificates = ours.certificate();
    CHECK(refusal(mutual, {.tls = stranger}) == refused(stranger));
    const rpc::Tls old = ours.issue("old", -1);
    CHECK(refusal(mutual, {.tls = old}) == refused(old));
}

TEST_CASE("a handle with the right certificate waits for a deployment that comes later") {
    const Directory directory;
    const Authority ours(directory, "ours");
    const rpc::Tls server = ours.issue("server");
    std::optional<Deployed> deployed(std::in_place, at_once, rpc::DeployOptions{.tls = server});
    auto handle = deployed->connect({.tls = ours.issue("client")});
    const std::string address = deployed->deployment.address();
    deployed.reset();
    auto called = handle.async_process(21, aio::use_future);
    CHECK(called.wait_for(1500ms) == std::future_status::timeout);
    Doubling doubling;
    batching::Batcher<int, int> model(doubling.function(), at_once);
    const auto again = rpc::deploy({.listen = address, .tls = server}, "doubling", model);
    CHECK(called.get() == 42);
}

TEST_CASE("a server that says something else, or hangs up, is no mistake of TLS") {
    aio::io_context context;
    for (const std::string says :
         {"", "HTTP/1.1 400 Bad Request\r\n\r\n", "\x16\x03\x03\xff\xffto be"}) {
        aio::ip::tcp::acceptor acceptor(context, {aio::ip::address_v4::loopback(), 0});
        std::thread server([&] {
            for (;;) {
                auto caller = acceptor.accept();
                std::array<char, 4096> bytes{};
                if (caller.read_some(aio::buffer(bytes)) == 4) return;  // the end of the test
                aio::write(caller, aio::buffer(says));
            }
        });
        const std::string address = "127.0.0.1:" + std::to_string(acceptor.local_endpoint().port());
        auto plain = rpc::connect<int, int>(address, "doubling", {.timeout = 700ms});
        CHECK(call(plain, 1).error == errc::deadline_exceeded);
        auto secure =
            rpc::connect<int, int>(address, "doubling", {.timeout = 700ms, .tls = rpc::Tls{}});
        const std::string sentence = call(secure, 1).sentence;
        CHECK_FALSE(contains(sentence, "it asks"));
        CHECK_FALSE(contains(sentence, "it refuses"));
        aio::ip::tcp::socket last(context);
        last.connect(acceptor.local_endpoint());
        aio::write(last, aio::buffer("stop", 4));
        server.join();
    }
}

TEST_CASE("a handle with TLS at a port that has none finds that out at once") {
    const Directory directory;
    const Authority ours(directory, "ours");
    const Deployed open;
    CHECK(refusal(open, {.tls = rpc::Tls{.root_certificates = ours.certificate()}}) ==
          "it does not speak TLS on this port; connect without tls, or to another port");
}

TEST_CASE("calls that wait in the queue behind one that TLS fails are told the same, at once") {
    const Directory directory;
    const Authority ours(directory, "ours");
    const Authority theirs(directory, "theirs");
    const rpc::Tls server = ours.issue_for_all("server");
    const Deployed deployed(at_once, {.tls = server});
    auto handle = deployed.connect({.timeout = std::chrono::hours(1),
                                    .max_items_per_call = 1,
                                    .tls = rpc::Tls{.root_certificates = theirs.certificate()}});
    std::vector<std::future<int>> calls;
    for (int i = 0; i < 20; ++i) calls.push_back(handle.async_process(i, aio::use_future));
    for (auto& call : calls) {
        CHECK(contains(sentence_of([&] { call.get(); }), "cannot be reached: its certificate"));
    }
}

}  // namespace mistakes_test

// Mistakes in addresses and in TLS: each gives one sentence that says what to do, and only one waits for the timeout.
#include <fmt/format.h>
#include <sys/un.h>

#include "authority.hpp"
#include "deployed.hpp"

#include <fstream>
#include <string>

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

TEST_CASE("a handle without TLS at a port that has it is told so when its time is over") {
    const Directory directory;
    const Authority ours(directory, "ours");
    const Deployed secure(at_once, {.tls = ours.issue_for_all("server")});
    auto handle = secure.connect({.timeout = 500ms});
    const auto ended = call(handle, 1);
    CHECK(ended.error == errc::deadline_exceeded);
    CHECK(contains(ended.sentence,
                   " (it may speak TLS on this port: set tls, or connect to another port)"));
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

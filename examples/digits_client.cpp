// Many coroutines each ask a deployment for ONE digit at a time, as they would a Batcher of their own.
//
//     digits_client [ADDRESS [APPLICATION]]    that of digits_server; a temporary socket if not given
//
// With an APPLICATION it asks that application of the Ray Serve cluster at the address (examples/ray_serve).
//
// It may be started before the deployment: its calls wait until it is there, for 30 s by default.
#include "digits/address.hpp"
#include "digits/dataset.hpp"

#include <fmt/format.h>

#include <asio.hpp>
#include <batcher.hpp>
#include <batcher/grpc.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <span>
#include <string>

namespace {

using namespace digits;
using Classifier = batching::Batcher<Image, int>;  // a handle to a deployment is one, too

constexpr int clients = 64;
constexpr std::size_t calls = 4000;

struct Run {
    std::span<const Sample> questions;
    std::size_t asked = 0;
    std::size_t right = 0;
};

// Nothing here knows where the model runs.
asio::awaitable<void> client(Classifier& classifier, Run& run) {
    while (run.asked < calls) {
        const Sample& question = run.questions[run.asked++ % run.questions.size()];
        // --8<-- [start:caller]
        const int answer = co_await classifier.process(question.image);
        // --8<-- [end:caller]
        if (answer == question.label) ++run.right;
    }
}

void ask_all(Classifier& classifier) {
    const Digits data = read_digits();
    Run run{data.questions()};
    asio::io_context event_loop;
    for (int i = 0; i < clients; ++i) {
        asio::co_spawn(event_loop, client(classifier, run), [](const std::exception_ptr& error) {
            if (error) std::rethrow_exception(error);
        });
    }
    event_loop.run();

    const auto sent = classifier.stats().batch_size;
    fmt::print("{} of {} answers are right\n", run.right, run.asked);
    fmt::print("{} clients asked in {} remote calls, of {:.1f} images on average\n", clients,
               sent.count(), sent.mean());
}

// One line says where the model runs:
//
//   in this process       batching::Batcher classifier{classify, {.max_batch_size = 256}};
//   in another            "unix:/run/digits.sock"
//   on other machines     "dns:///digits:9000"
//   on a Ray cluster      "dns:///serve:9000", and which application
void ask(const std::string& address) {
    // --8<-- [start:connect]
    auto classifier = batching::grpc::connect<Image, int>(address, "digits");
    // --8<-- [end:connect]
    ask_all(classifier);
}
void ask(const std::string& address, const std::string& application) {
    // --8<-- [start:ray]
    auto classifier = batching::grpc::connect<Image, int>(
        address, "digits", {.metadata = {{"application", application}}});
    // --8<-- [end:ray]
    ask_all(classifier);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc > 3 || (argc > 1 && !is_address(argv[1]))) {
        fmt::print(stderr,
                   "digits_client takes the address of a deployment, and of a Ray cluster also "
                   "which application.\n"
                   "usage: digits_client [unix:PATH | HOST:PORT [APPLICATION]]\n");
        return 2;
    }
    try {
        if (argc > 2) {
            ask(argv[1], argv[2]);
        } else {
            ask(argc > 1 ? argv[1] : default_address());
        }
        return EXIT_SUCCESS;
    } catch (const std::exception& error) {
        fmt::print(stderr, "digits_client: {}\n", error.what());
        return EXIT_FAILURE;
    }
}

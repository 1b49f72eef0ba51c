// Handles with TLS that are destroyed just before main returns: the program ends, with 0. What is left of
// them must not meet OpenSSL, which cleans up then.
#include "types.hpp"

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
namespace rpc = batching::grpc;

namespace {

// A certificate for the name "test", and its key.
class Certificate {
public:
    Certificate() {
        const std::string make =
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 "
            "-nodes -days 2 -subj /CN=test -keyout " +
            key() + " -out " + file() + " 2>/dev/null";
        if (std::system(make.c_str()) != 0) throw std::runtime_error("failed: " + make);
    }
    Certificate(const Certificate&) = delete;
    Certificate& operator=(const Certificate&) = delete;
    ~Certificate() {
        std::filesystem::remove(file());
        std::filesystem::remove(key());
    }

    std::string file() const { return base_ + ".pem"; }
    std::string key() const { return base_ + ".key"; }

private:
    std::string base_ =
        std::filesystem::temp_directory_path() / ("batcher-tls-exit-" + std::to_string(getpid()));
};

}  // namespace

int main() {
    const Certificate certificate;
    batching::Batcher<int, int> model([](std::vector<int> items) { return items; },
                                      {.batch_timeout = 0ns});
    // The first has no TLS, so that OpenSSL comes later than gRPC.
    std::optional first(rpc::connect<int, int>("unix:/nowhere", "echo"));
    std::optional deployment(rpc::deploy(
        {.listen = "127.0.0.1:0",
         .tls = rpc::Tls{.certificate = certificate.file(), .private_key = certificate.key()}},
        "echo", model));
    const rpc::Tls trusting{.root_certificates = certificate.file(), .server_name = "test"};
    std::vector<batching::Batcher<int, int>> handles;
    for (int i = 0; i < 30; ++i) {
        handles.push_back(rpc::connect<int, int>(deployment->address(), "echo", {.tls = trusting}));
        if (handles.back().process(21).get() != 21) return 1;
    }
    first.reset();
    deployment.reset();
    handles.clear();
    return 0;
}

// gone started|moved: uses a Batcher that has gone, which a debug build says before it ends.
#include <batcher.hpp>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

namespace {

std::vector<int> echo(std::vector<int> items) { return items; }

extern "C" void end(int) { std::_Exit(0); }  // so that the test sees what was said, and no crash

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return 2;
    std::signal(SIGABRT, end);
    std::optional<batching::Batcher<int, int>> batcher(echo);
    if (std::strcmp(argv[1], "started") == 0) {
        auto operation = batcher->process(1);
        batcher.reset();
        return std::move(operation).get();
    }
    const auto other = std::move(*batcher);
    return batcher->process(1).get();
}

// Fuzzes what a reader of figures reads: a StatsResponse. What it takes can be computed with, and is written and read
// again as the same bytes.
#include <batcher/grpc/detail/stats_wire.hpp>
#include <batcher/stats.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace wire = batching::grpc::detail::wire;

namespace {

std::string written(std::string_view bytes) {
    std::string again;
    wire::read_stats_response(bytes, [&](std::string_view deployment, std::string_view diagnosis,
                                         const batching::Stats& stats) {
        batching::Stats half = stats;
        half.wait_time = half.run_time;
        if (fmt::format("{}{}", stats, stats.since(half)).empty()) std::abort();
        wire::write_deployment_stats(again, deployment, diagnosis, stats);
    });
    return again;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string once;
    try {
        once = written({reinterpret_cast<const char*>(data), size});
    } catch (const batching::Error&) {
        return 0;
    }
    if (written(once) != once) std::abort();
    return 0;
}

// Fuzzes what a handle reads: a ProcessResponse. Its first byte says how many results are expected.
#include <batcher/grpc/detail/wire.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace wire = batching::grpc::detail::wire;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const std::size_t expected = data[0];
    std::size_t taken = 0;
    try {
        wire::read_response(bytes, expected, [&](const wire::Result&) { ++taken; });
        if (taken != expected) std::abort();
    } catch (const batching::Error&) {
        if (taken > expected) std::abort();
    }
    return 0;
}

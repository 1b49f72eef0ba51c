// Fuzzes what a deployment reads: a ProcessRequest, and the items in it.
#include <batcher/codec.hpp>
#include <batcher/grpc/detail/wire.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace wire = batching::grpc::detail::wire;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    constexpr std::size_t max_items = 100;
    try {
        const auto request = wire::read_request(bytes, max_items);
        if (request.items.size() > max_items) std::abort();
        for (const auto item : request.items) {
            if (item.data() < bytes.data() || item.data() + item.size() > bytes.data() + size) {
                std::abort();
            }
            try {
                batching::Codec<std::map<std::string, std::vector<double>>>::decode(item);
            } catch (const batching::Error&) {
            }
        }
    } catch (const batching::Error&) {
    }
    return 0;
}

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

namespace {

// For each item or for none, and the same when it is sent on.
void check_asked(const wire::ProcessRequest& request) {
    const auto& asked = request.asked;
    const auto& contexts = request.contexts;
    if (!asked.empty() && asked.size() != request.items.size()) std::abort();
    if (!contexts.empty() && contexts.size() != request.items.size()) std::abort();
    std::string bytes;
    for (const auto item : request.items) {
        wire::write_item(bytes, [&](std::string& out) { out += item; });
    }
    const std::size_t before = bytes.size();
    wire::write_asked(bytes, asked);
    if (bytes.size() - before > wire::most_asked(asked.size())) std::abort();
    const std::size_t behind = bytes.size();
    wire::write_contexts(bytes, contexts);
    if (bytes.size() - behind > wire::most_contexts(contexts.size())) std::abort();
    const auto again = wire::read_request(bytes, request.items.size());
    if (!again.contexts.empty() && again.contexts != contexts) std::abort();
    for (std::size_t i = 0; i < again.asked.size(); ++i) {
        if (again.asked[i].timeout != asked[i].timeout) std::abort();
        if (again.asked[i].priority != asked[i].priority) std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    constexpr std::size_t max_items = 100;
    try {
        const auto request = wire::read_request(bytes, max_items);
        if (request.items.size() > max_items) std::abort();
        check_asked(request);
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

// Fuzzes what a handle that is not connected reads of its server: the answer to a greeting of TLS. What is made of it does
// not depend on the pieces in which it comes.
#include <algorithm>
#include <batcher/grpc/detail/tls_hello.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

using batching::grpc::detail::tls::Answer;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const std::size_t piece = 1 + data[0] % 64U;  // the first byte says how long
    bytes.remove_prefix(1);
    Answer whole;
    whole.add(bytes);
    Answer pieces;
    for (; !bytes.empty(); bytes.remove_prefix(std::min(piece, bytes.size()))) {
        pieces.add(bytes.substr(0, piece));
    }
    const bool same = whole.speaks() == pieces.speaks() && whole.waits() == pieces.waits() &&
                      whole.asks() == pieces.asks() && whole.ends() == pieces.ends();
    if (!same || (whole.waits() && !whole.speaks())) std::abort();
    return 0;
}

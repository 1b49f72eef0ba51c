// Fuzzes the MessagePack codec: a value that is read is written and read again as the same bytes.
#include <array>
#include <batcher/codec.hpp>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace {

struct Everything {
    int number = 0;
    double real = 0;
    bool flag = false;
    std::string text = {};
    std::vector<char> bytes = {};
    std::map<std::string, std::vector<std::optional<std::int64_t>>> map = {};
    std::vector<Everything> children = {};
    MSGPACK_DEFINE(number, real, flag, text, bytes, map, children)
};

struct Fixed {
    char text[40] = {};
    std::array<std::string, 3> strings = {};
    std::array<std::array<double, 2>, 2> matrix = {};
    MSGPACK_DEFINE_MAP(text, strings, matrix)
};

template <class T>
void check(std::string_view bytes) {
    using Codec = batching::Codec<T>;
    std::string once;
    try {
        Codec::encode(Codec::decode(bytes), once);
    } catch (const batching::Error&) {
        return;
    }
    std::string twice;
    Codec::encode(Codec::decode(once), twice);
    if (once != twice) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    check<Everything>(bytes);
    check<std::vector<std::vector<int>>>(bytes);
    check<std::string>(bytes);
    check<Fixed>(bytes);
    check<std::vector<unsigned char>>(bytes);
    check<std::tuple<int, std::array<float, 3>>>(bytes);
    return 0;
}

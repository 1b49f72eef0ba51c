// expect: msgpack-cxx would read past the end of a value that has fewer parts than this type: use
#include <batcher/grpc.hpp>

struct Picture {
    int width = 0;
#if defined(CORRECTED)
    std::vector<unsigned char> digest = {};
#else
    std::array<unsigned char, 32> digest = {};
#endif
    MSGPACK_DEFINE(width, digest)
};

// A name does not make it any better.
template <>
inline constexpr std::string_view batching::schema_name<Picture> = "Picture";

auto connect_to_gallery() {
    return batching::grpc::connect<std::vector<Picture>, int>("unix:/run/gallery", "gallery");
}

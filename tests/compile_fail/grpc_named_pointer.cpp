// expect: what is decoded outlives the bytes it is decoded from, and this type would refer to them
#include <batcher/grpc.hpp>

#if defined(CORRECTED)
using Text = std::string;
#else
using Text = const char*;
#endif

// A name does not make it any better.
template <>
inline constexpr std::string_view batching::schema_name<Text> = "Text";

auto connect() { return batching::grpc::connect<int, std::array<Text, 2>>("unix:/run/x", "x"); }

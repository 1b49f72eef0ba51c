// expect: what is decoded outlives the bytes it is decoded from, and this type would refer to them
#include <batcher/grpc.hpp>

#if defined(CORRECTED)
using Names = std::vector<std::optional<std::string>>;
#else
using Names = std::vector<std::optional<std::string_view>>;
#endif

auto connect() { return batching::grpc::connect<Names, double>("unix:/run/oracle", "oracle"); }

// expect: what is decoded outlives the bytes it is decoded from, and this type would refer to them
#include <batcher/grpc.hpp>

struct Question {
    int number = 0;
#if defined(CORRECTED)
    std::map<std::string, msgpack::type::ext> answers = {};
#else
    std::map<std::string, msgpack::type::ext_ref> answers = {};
#endif
    MSGPACK_DEFINE_MAP(number, answers)
};

auto connect() {
    return batching::grpc::connect<double, std::vector<Question>>("unix:/run/oracle", "oracle");
}

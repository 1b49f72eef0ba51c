// expect: and this type has no codec: make it a protobuf message, write MSGPACK_DEFINE(...) into it
#include <batcher/grpc.hpp>

struct Question {
    int number = 0;
#if defined(CORRECTED)
    MSGPACK_DEFINE(number)
#endif
};

auto connect() { return batching::grpc::connect<Question, double>("unix:/run/oracle", "oracle"); }

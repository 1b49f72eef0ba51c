// expect: for T[n] a std::array
#include <batcher/grpc.hpp>

struct Matrix {
#if defined(CORRECTED)
    std::array<std::array<double, 2>, 2> rows = {};
#else
    double rows[2][2] = {};
#endif
    MSGPACK_DEFINE(rows)
};

// Looked into where the container itself has no shape, too.
struct Question {
    std::multimap<int, Matrix> matrices = {};
    MSGPACK_DEFINE_MAP(matrices)
};

auto connect() { return batching::grpc::connect<Question, double>("unix:/run/oracle", "oracle"); }

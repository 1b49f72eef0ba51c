// What the two programs have in common: what is asked, and what is answered.
#pragma once

#include <batcher/grpc.hpp>
#include <cstddef>
#include <string>

// --8<-- [start:item]
struct Order {
    std::string product;
    int count = 0;
    MSGPACK_DEFINE_MAP(product, count)
};
// --8<-- [end:item]

struct Price {
    double total = 0;
    std::size_t batch_size = 0;  // how many orders its batch had, of whatever clients
    MSGPACK_DEFINE_MAP(total, batch_size)
};

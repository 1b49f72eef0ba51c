// What the test programs send each other.
#pragma once

#include <batcher/grpc.hpp>
#include <cstdint>
#include <string>

namespace test {

struct Job {
    std::int64_t id = 0;
    std::string text = {};
    int sleep_ms = 0;  // how long its batch takes, at least
    MSGPACK_DEFINE(id, text, sleep_ms)
};

struct Answer {
    std::int64_t id = 0;
    std::string text = {};
    std::string server = {};  // who answered
    std::int64_t batch = 0;   // in which of its batches
    std::int64_t batch_size = 0;
    MSGPACK_DEFINE(id, text, server, batch, batch_size)
};

}  // namespace test

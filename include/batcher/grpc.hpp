// The remote part: the same call, another process. Not part of batcher.hpp; it needs gRPC++ and
// msgpack-cxx, and the CMake target batcher::grpc.
//
//     // the model's process
//     batching::Batcher model{score, {.max_batch_size = 256}};
//     auto deployment = batching::grpc::deploy({.listen = "unix:/run/scorer.sock"}, "scorer", model);
//     deployment.wait();
//
//     // any other
//     auto scorer = batching::grpc::connect<Params, double>("unix:/run/scorer.sock", "scorer");
//     double y = co_await scorer.process(item);
#pragma once

#include <batcher/batcher.hpp>
#include <batcher/codec.hpp>
#include <batcher/grpc/connect.hpp>
#include <batcher/grpc/connection_stats.hpp>
#include <batcher/grpc/deployment.hpp>
#include <batcher/grpc/stats_reader.hpp>

// batcher: write code for one item, get batches across all concurrent callers.
//
//     std::vector<double> add(std::vector<Params> batch);
//
//     batching::Batcher batcher{add};
//     double y = co_await batcher.process(item);
//
// This is the whole library but its remote part (batcher/grpc.hpp). Start with batcher/batcher.hpp.
#pragma once

#include <batcher/batch_function.hpp>
#include <batcher/batch_info.hpp>
#include <batcher/batch_report.hpp>
#include <batcher/batcher.hpp>
#include <batcher/call_options.hpp>
#include <batcher/calls.hpp>
#include <batcher/diagnosis.hpp>
#include <batcher/dispatch_reason.hpp>
#include <batcher/distribution.hpp>
#include <batcher/error.hpp>
#include <batcher/isolate_failures.hpp>
#include <batcher/operation.hpp>
#include <batcher/options.hpp>
#include <batcher/pad_to.hpp>
#include <batcher/priority.hpp>
#include <batcher/replicas.hpp>
#include <batcher/result.hpp>
#include <batcher/rules.hpp>
#include <batcher/stats.hpp>
#include <batcher/trace.hpp>
#include <batcher/trace_context.hpp>
#include <batcher/version.hpp>

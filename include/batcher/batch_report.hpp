// BatchReport: what an observer is told of a batch that has run (observe() in rules.hpp).
//
//     batching::observe([&](const batching::BatchReport& report) {
//         if (report.error) log("batch {}: {} of {} failed", report.number, report.failed, report.size);
//     })
#pragma once

#include <batcher/dispatch_reason.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>

namespace batching {

// What has become of one batch. (It is small and can be kept: `error` keeps the exception alive.)
struct BatchReport {
    std::uint64_t number = 0;  // as BatchInfo::number(): counted from 1, as batches are formed
    DispatchReason reason = DispatchReason::full;  // why it left
    std::size_t slot = 0;                          // where it ran
    std::size_t size = 0;                          // items, when it was formed
    std::size_t weight = 0;  // of them, with batching::weigh(); otherwise as size

    // Of the item that waited longest, from its call until the batch was formed.
    std::chrono::nanoseconds oldest_wait{};
    std::chrono::nanoseconds run_time{};  // from then until the batch function had returned

    // Of the callers that still waited for it, those who get an error.
    std::size_t failed = 0;
    // What they all get, if the batch failed as a whole; null: each has a result, or an error, of its own.
    std::exception_ptr error;
};

}  // namespace batching

// This library, in each arrangement of threads.
#pragma once

#include <asio.hpp>
#include <batcher.hpp>
#include <competitors/rules.hpp>
#include <cstddef>
#include <deque>

namespace bench {

inline batching::Options options_of(const Rules& rules) {
    return {.max_batch_size = rules.max_batch_size, .batch_timeout = rules.batch_timeout};
}

// Callers and batch function on one io_context.
class BatcherOnContext {
public:
    BatcherOnContext(asio::io_context& context, const Rules& rules)
        : batcher_(context, twice, options_of(rules)) {}
    auto process(int x) { return batcher_.process(x); }
    void flush() { batcher_.flush(); }

private:
    batching::Batcher<int, int> batcher_;
};

// Callers on an io_context, the batch function on a worker that the Batcher owns. A coroutine that knows
// no executor says where it resumes.
class BatcherWithWorker {
public:
    BatcherWithWorker(asio::io_context& context, const Rules& rules)
        : batcher_(twice, options_of(rules)), callers_(context.get_executor()) {}
    auto process(int x) { return batcher_.process(x).resume_on(callers_); }

private:
    batching::Batcher<int, int> batcher_;
    asio::io_context::executor_type callers_;
};

// The same for callers in asio::awaitable, who know theirs.
class BatcherWithWorkerForAwaitables {
public:
    BatcherWithWorkerForAwaitables(asio::io_context&, const Rules& rules)
        : batcher_(twice, options_of(rules)) {}
    auto process(int x) { return batcher_.process(x); }

private:
    batching::Batcher<int, int> batcher_;
};

// Callers that block.
class BlockingBatcher {
public:
    explicit BlockingBatcher(const Rules& rules) : batcher_(twice, options_of(rules)) {}
    int process(int x) { return batcher_.process(x).get(); }

private:
    batching::Batcher<int, int> batcher_;
};

// Callers on several io_contexts.
class ProducerOfBatcher {
public:
    ProducerOfBatcher(batching::Batcher<int, int>& batcher, asio::io_context& context)
        : batcher_(batcher), home_(context.get_executor()) {}
    auto process(int x) { return batcher_.process(x).resume_on(home_); }

private:
    batching::Batcher<int, int>& batcher_;
    asio::io_context::executor_type home_;
};

// ... and the batch function on a worker that the Batcher owns,
class BatcherWithWorkerForProducers {
public:
    BatcherWithWorkerForProducers(std::deque<asio::io_context>& contexts, const Rules& rules)
        : contexts_(contexts), batcher_(twice, options_of(rules)) {}
    ProducerOfBatcher producer(std::size_t i) { return {batcher_, contexts_[i]}; }

private:
    std::deque<asio::io_context>& contexts_;
    batching::Batcher<int, int> batcher_;
};

// ... or on the first of them.
class BatcherOnContextForProducers {
public:
    BatcherOnContextForProducers(std::deque<asio::io_context>& contexts, const Rules& rules)
        : contexts_(contexts), batcher_(contexts[0], twice, options_of(rules)) {}
    ProducerOfBatcher producer(std::size_t i) { return {batcher_, contexts_[i]}; }

private:
    std::deque<asio::io_context>& contexts_;
    batching::Batcher<int, int> batcher_;
};

}  // namespace bench

// This library, in each arrangement of threads.
#pragma once

#include <asio.hpp>
#include <batcher.hpp>
#include <chrono>
#include <competitors/rules.hpp>
#include <cstddef>
#include <deque>
#include <measure.hpp>
#include <thread>

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

// The same whose batches leave as soon as the slot is free: whatever waits,
class BatcherAtOnce {
public:
    BatcherAtOnce(asio::io_context& context, const Rules& rules)
        : BatcherAtOnce(context, {.max_batch_size = rules.max_batch_size, .batch_timeout = 0}) {}
    auto process(int x) { return batcher_.process(x); }

protected:
    BatcherAtOnce(asio::io_context& context, const batching::Options& options)
        : batcher_(context, twice, options) {}

private:
    batching::Batcher<int, int> batcher_;
};
// or as many as a target admits, which all meet.
class BatcherWithTarget : public BatcherAtOnce {
public:
    BatcherWithTarget(asio::io_context& context, const Rules& rules)
        : BatcherAtOnce(context, {.max_batch_size = rules.max_batch_size,
                                  .latency_target = std::chrono::seconds(1)}) {}
};

// The same with a bounded queue that never refuses.
class BatcherWithBoundedQueue {
public:
    BatcherWithBoundedQueue(asio::io_context& context, const Rules& rules)
        : batcher_(context, twice, bounded(options_of(rules))) {}
    auto process(int x) { return batcher_.process(x); }

private:
    static batching::Options bounded(batching::Options options) {
        options.max_queue_size = 1'000'000;
        return options;
    }

    batching::Batcher<int, int> batcher_;
};

// Callers and batch function on the threads of a pool.
class BatcherOnPool {
public:
    BatcherOnPool(asio::thread_pool& pool, const Rules& rules)
        : batcher_(pool, twice, options_of(rules)) {}
    auto process(int x) { return batcher_.process(x); }

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

// The same with a thread that looks for work for a while before it sleeps. That is the user's loop, not an
// option of the library: a Batcher takes any executor.
class SpinningThread {
public:
    ~SpinningThread() {
        work_.reset();
        thread_.join();
    }
    asio::io_context& context() noexcept { return context_; }

private:
    void run() {
        constexpr auto patience = std::chrono::microseconds(20);
        while (context_.run_one() > 0) {
            for (auto idle_since = Clock::now(); Clock::now() - idle_since < patience;) {
                if (context_.poll() > 0) idle_since = Clock::now();
            }
        }
    }

    asio::io_context context_{1};
    asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
    std::thread thread_{[this] { run(); }};
};

class BatcherOnSpinningThread {
public:
    BatcherOnSpinningThread(asio::io_context& context, const Rules& rules)
        : batcher_(thread_.context(), twice, options_of(rules)), callers_(context.get_executor()) {}
    auto process(int x) { return batcher_.process(x).resume_on(callers_); }

private:
    SpinningThread thread_;
    batching::Batcher<int, int> batcher_;
    asio::io_context::executor_type callers_;
};

// Callers in asio::awaitable, who know where they resume.
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

// The same with callers in asio::awaitable, who know where they resume.
class BatcherOnContextForAwaitables {
public:
    BatcherOnContextForAwaitables(std::deque<asio::io_context>& contexts, const Rules& rules)
        : batcher_(contexts[0], twice, options_of(rules)) {}

    class Producer {
    public:
        explicit Producer(batching::Batcher<int, int>& batcher) : batcher_(batcher) {}
        auto process(int x) { return batcher_.process(x); }

    private:
        batching::Batcher<int, int>& batcher_;
    };
    Producer producer(std::size_t) { return Producer(batcher_); }

private:
    batching::Batcher<int, int> batcher_;
};

}  // namespace bench

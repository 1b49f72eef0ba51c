// Workers: the threads that a Batcher owns when it was given no executor.
#pragma once

#include <algorithm>
#include <batcher/detail/asio.hpp>
#include <cstddef>
#include <memory>
#include <thread>
#include <vector>

namespace batching::detail {

class Workers {
public:
    explicit Workers(std::size_t n)
        : context_(std::make_shared<asio::io_context>(static_cast<int>(n))),
          work_(asio::make_work_guard(*context_)) {
        try {
            while (threads_.size() < n) {
                // The thread shares the context, in case it is the one that destroys the Batcher.
                threads_.emplace_back([context = context_] { context->run(); });
            }
        } catch (...) {
            finish();
            throw;
        }
    }
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;
    ~Workers() { finish(); }

    const std::shared_ptr<asio::io_context>& context() const noexcept { return context_; }

private:
    // Waits for all that is queued and running. If a worker gets here itself (a Batcher destroyed by its
    // own batch function or by a caller resumed there) nobody is waited for, as that would be for itself,
    // too: the workers end when they are done.
    void finish() {
        work_.reset();
        const bool inside =
            std::any_of(threads_.begin(), threads_.end(), [](const std::thread& thread) {
                return thread.get_id() == std::this_thread::get_id();
            });
        for (auto& thread : threads_) inside ? thread.detach() : thread.join();
    }

    std::shared_ptr<asio::io_context> context_;
    asio::executor_work_guard<asio::io_context::executor_type> work_;
    std::vector<std::thread> threads_;
};

}  // namespace batching::detail

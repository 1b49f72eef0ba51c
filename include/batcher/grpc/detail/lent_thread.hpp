// LentThread: whether a thread of gRPC's, while it hands in what it has read, may run a batch.
//
// One in the process at a time: gRPC has two or more that read, and one must go on.
#pragma once

#include <atomic>
#include <batcher/detail/engine.hpp>

namespace batching::grpc::detail {

class LentThread {
public:
    explicit LentThread(bool wanted) noexcept : lent_(wanted && !taken().exchange(true)) {}
    LentThread(const LentThread&) = delete;
    LentThread& operator=(const LentThread&) = delete;
    ~LentThread() {
        if (lent_) taken().store(false);
    }

    batching::detail::Thread get() const noexcept {
        return lent_ ? batching::detail::Thread::lent : batching::detail::Thread::kept;
    }

private:
    static std::atomic<bool>& taken() noexcept {
        static std::atomic<bool> taken{false};
        return taken;
    }

    const bool lent_;
};

}  // namespace batching::grpc::detail
